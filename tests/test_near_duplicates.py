import sys

import pytest
from conftest import FILLER, invented_rows
from hypothesis import given
from hypothesis import strategies as st

from train.corpus.near_duplicates import near_duplicates, shingles, similarity
from train.errors import MissingExtra
from train.rows import Row

COPIED = "深入实施健康素养促进行动,全年开展健康讲座不少于200场,居民健康素养水平提升到32%以上。"


def plans(*texts: str) -> list[Row]:
    """Each text in a plan of its own."""
    return [{"plan": f"p{at}", "text": text} for at, text in enumerate(texts)]


def test_figures_and_punctuation_do_not_make_a_sentence_another() -> None:
    changed = COPIED.replace("200", "350").replace(",", ";").replace("32%", "30.5 %")
    assert near_duplicates(plans(COPIED, changed)) == [(0, 1, 1.0)]


def test_a_sentence_with_a_clause_more_is_a_near_duplicate_and_another_sentence_is_not() -> None:
    longer = COPIED + "由宣传股牵头落实。"
    other = "完善传染病多点触发监测预警机制,县级医院发热门诊、肠道门诊全年开诊。"
    # 36 characters of the sentence give 33 shingles, the 8 more give 8: 33 of 41.
    found = near_duplicates(plans(COPIED, other, longer))
    assert [(a, b) for a, b, _ in found] == [(0, 2)]
    assert found[0][2] == pytest.approx(similarity(shingles(COPIED), shingles(longer)))
    assert 0.7 < found[0][2] < 0.9


def test_repeats_inside_a_plan_and_short_texts_are_passed_over() -> None:
    assert near_duplicates([{"plan": "p", "text": COPIED}] * 2) == []
    assert near_duplicates(plans("婴儿死亡率下降", "婴儿死亡率下降")) == []
    assert near_duplicates(plans("1234567890123", "1234567890123")) == []


def test_every_pair_of_many_copies_is_found() -> None:
    assert [(a, b) for a, b, _ in near_duplicates(plans(COPIED, COPIED, COPIED))] == [(0, 1), (0, 2), (1, 2)]


def test_invented_plans_of_one_style_hold_no_near_duplicates() -> None:
    assert near_duplicates(invented_rows(8, 20)) == []


def test_shingles_are_runs_of_four_characters() -> None:
    assert shingles("甲乙、丙1丁戊") == {"甲乙丙丁", "乙丙丁戊"}
    assert shingles("甲乙") == {"甲乙"}
    assert shingles(" 12,") == frozenset()
    assert similarity(frozenset(), frozenset()) == 0
    assert similarity(frozenset("abc"), frozenset("bcd")) == 0.5


@given(st.text(FILLER, min_size=30, max_size=80), st.data())
def test_pairs_above_the_threshold_by_exact_similarity_are_found(text: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(text)))
    other = text[:at] + "龘" + text[at:]
    exact = similarity(shingles(text), shingles(other))
    found = near_duplicates(plans(text, other))
    assert bool(found) == (exact >= 0.6)


def test_without_its_package_the_search_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasketch", None)
    with pytest.raises(
        MissingExtra, match=r"near-duplicates: packages are not installed; type: pip install 'yaodian\[train\]'"
    ):
        near_duplicates(plans(COPIED, COPIED))
