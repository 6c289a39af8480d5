from __future__ import annotations

import re
import sys

import numpy as np
import pytest

from train.errors import MissingExtra, RowError
from train.evaluation import baselines
from train.evaluation.baselines import KeywordList, LinearTfidf, predict_baselines
from train.taxonomy import Taxonomy


def taxonomy(**keywords: list[str]) -> Taxonomy:
    entries = [
        {"key": key, "zh": key, "en": key, "definition": key, "colour": "#123456", "keywords": words}
        for key, words in keywords.items()
    ]
    return Taxonomy.parse({"themes": entries}, "made up")


def row(text, *labels, plan="p", path=()):
    return {"plan": plan, "number": "1", "path": list(path), "text": text, "units": "", "labels": list(labels)}


# Twelve plans of four items: two themes with a vocabulary of their own, one item with both, one with none.
PLACES = "东西南北中前后左右上下外"
ROWS = [
    made
    for at, place in enumerate(PLACES)
    for made in (
        row(f"{place}城开展疫苗接种{at + 1}万剂", "vaccine", plan=place),
        row(f"推进{place}城养老机构建设{at + 1}家", "elders", plan=place),
        row(f"为{place}城养老机构人员疫苗接种", "vaccine", "elders", plan=place),
        row(f"做好{place}城信访和档案工作", plan=place),
    )
]
TWO = taxonomy(vaccine=[], elders=[])


def test_keywords_of_the_taxonomy_are_searched_as_regular_expressions():
    found = KeywordList.fit([], taxonomy(a=["疫苗|接种", "^流感"], b=["(?i)drg"])).predict(
        [row("加强疫苗管理"), row("流感监测"), row("防控流感"), row("推行drg付费,接种"), row("无关")]
    )
    assert found.tolist() == [[True, False], [True, False], [False, False], [True, True], [False, False]]


def test_headings_and_units_are_not_read_by_the_keyword_list():
    item = row("落实各项任务", path=["一、疫苗"]) | {"units": "(疫苗科)"}
    assert not KeywordList.fit([], taxonomy(a=["疫苗"])).predict([item]).any()


def test_words_are_mined_only_for_themes_without_keywords():
    found = KeywordList.fit(ROWS, taxonomy(vaccine=["照抄.*"], elders=[]))
    assert found.patterns[0] == ("照抄.*",)
    # 养老, 养老机 …, 老机构 … all stand in the 24 items of the theme and in no other; the first in the order of characters is taken,
    # and no further word adds anything
    assert found.patterns[1] == ("养老",)


def test_mined_words_find_the_theme_in_a_plan_that_was_not_seen():
    keywords = KeywordList.fit(ROWS, TWO)
    found = keywords.predict([row("全县疫苗接种率达九成"), row("办好养老机构"), row("抓好档案工作")])
    assert found.tolist() == [[True, False], [False, True], [False, False]]


def test_mining_prefers_a_precise_word_to_a_frequent_one():
    # 医院 stands in all four positives and in six others (F1 .57); 薪酬 in two positives only (F1 .67), 编制 in the other two
    rows = [row(f"医院{word}{at}", "reform") for at, word in enumerate(["薪酬", "薪酬", "编制", "编制"])]
    rows += [row(f"医院{word}") for word in ("食堂", "停车", "绿化", "消防", "档案", "统计")]
    found = KeywordList.fit(rows, taxonomy(reform=[]))
    assert len(found.patterns[0]) == 2
    assert found.predict(rows)[:, 0].tolist() == [True] * 4 + [False] * 6


def test_at_most_thirty_words_are_mined_and_the_same_ones_each_time():
    rows = [row(f"{chr(0x4E00 + at)}{chr(0x5E00 + at)}", "a") for at in range(40) for _ in range(2)]
    words = KeywordList.fit([*rows, row("无关")], taxonomy(a=[])).patterns[0]
    assert len(words) == len(set(words)) == 30
    assert words == KeywordList.fit([*rows, row("无关")], taxonomy(a=[])).patterns[0]


def test_a_theme_without_positives_gets_no_words_and_is_never_given():
    found = KeywordList.fit(ROWS, taxonomy(vaccine=[], elders=[], missing=[]))
    assert found.patterns[2] == ()
    assert not found.predict(ROWS)[:, 2].any()


def test_words_are_mined_from_runs_of_letters_so_that_they_need_no_escaping():
    rows = [row(f"推行(DRG)+付费{at}.5*", "a") for at in range(3)] + [row("推行其他")]
    (words,) = KeywordList.fit(rows, taxonomy(a=[])).patterns
    assert words
    assert all(re.fullmatch(r"[^\W\d_]{2,4}", word) for word in words)


def test_the_linear_baseline_learns_from_the_text():
    found = LinearTfidf.fit(ROWS, TWO).predict([row("全县疫苗接种率达九成"), row("办好养老机构"), row("抓好档案工作")])
    assert found.tolist() == [[True, False], [False, True], [False, False]]


def test_the_linear_baseline_reads_the_headings_too():
    rows = [row("落实各项任务", *labels, plan=place, path=[heading])
            for place in PLACES for heading, labels in (("一、疫苗接种", ["a"]), ("二、档案工作", []))]  # fmt: skip
    linear = LinearTfidf.fit(rows, taxonomy(a=[]))
    found = linear.predict([row("落实各项任务", path=["三、疫苗接种"]), row("落实各项任务", path=["四、档案工作"])])
    assert found.tolist() == [[True], [False]]


def test_themes_on_which_all_training_rows_agree_are_answered_without_learning():
    rows = [item | {"labels": ["always", *item["labels"]]} for item in ROWS]
    linear = LinearTfidf.fit(rows, taxonomy(always=[], vaccine=[], never=[], elders=[]))
    assert linear.constant == (True, None, False, None)
    assert linear.predict([row("开展疫苗接种3万剂")]).tolist() == [[True, True, False, False]]


def test_nothing_to_learn_or_to_tag_is_no_fault():
    assert LinearTfidf.fit([], TWO).predict([row("疫苗")]).tolist() == [[False, False]]
    assert LinearTfidf.fit([row("疫苗")], TWO).predict([row("疫苗")]).tolist() == [[False, False]]
    assert LinearTfidf.fit(ROWS, TWO).predict([]).shape == (0, 2)
    assert KeywordList.fit(ROWS, TWO).predict([]).shape == (0, 2)
    assert KeywordList.fit([], TWO).predict([row("疫苗")]).tolist() == [[False, False]]


def test_one_plan_is_enough_and_takes_the_plain_cost():
    linear = LinearTfidf.fit([item | {"plan": "p"} for item in ROWS], TWO)
    assert linear.cost == 1.0
    assert linear.predict([row("开展疫苗接种3万剂")]).tolist() == [[True, False]]


def test_a_theme_found_in_one_plan_only_breaks_no_fold():
    rows = [item | {"labels": item["labels"] + (["rare"] if item["plan"] == "东" else [])} for item in ROWS]
    assert LinearTfidf.fit(rows, taxonomy(vaccine=[], elders=[], rare=[])).predict(rows).shape == (48, 3)


def test_the_cost_is_chosen_over_whole_plans(monkeypatch):
    seen = []
    import sklearn.model_selection

    class Recorded(sklearn.model_selection.GroupKFold):
        def split(self, texts, y=None, groups=None):
            for inner, outer in super().split(texts, y, groups):
                seen.append(({groups[at] for at in inner}, {groups[at] for at in outer}))
                yield inner, outer

    monkeypatch.setattr(sklearn.model_selection, "GroupKFold", Recorded)
    assert LinearTfidf.fit(ROWS, TWO).cost in (0.5, 1.0, 2.0, 5.0)
    assert len(seen) == 5
    assert not any(inner & outer for inner, outer in seen)


def test_of_equal_costs_the_smallest_is_taken(monkeypatch):
    monkeypatch.setattr(baselines, "_classifier", lambda cost: Sure())
    assert LinearTfidf.fit(ROWS, TWO).cost == 0.5


class Sure:
    """A classifier that gives every theme."""

    def fit(self, x, y):
        self.n_themes = y.shape[1]
        return self

    def decision_function(self, x):
        return np.ones((x.shape[0], self.n_themes))


def test_both_baselines_are_fitted_in_one_call_and_repeat_exactly():
    first = predict_baselines(ROWS[:32], ROWS[32:], TWO)
    assert list(first) == ["keyword_list", "tfidf_linear"]
    assert all(tagged.shape == (16, 2) and tagged.dtype == np.bool_ for tagged in first.values())
    again = predict_baselines(ROWS[:32], ROWS[32:], TWO)
    assert all((first[name] == again[name]).all() for name in first)


def test_training_rows_that_are_not_annotated_are_named():
    bare = {key: value for key, value in ROWS[0].items() if key != "labels"}
    for baseline in (KeywordList, LinearTfidf):
        with pytest.raises(RowError, match="东 1: not annotated"):
            baseline.fit([bare, *ROWS], TWO)


def test_without_scikit_learn_the_extra_to_install_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(MissingExtra) as caught:
        LinearTfidf.fit(ROWS, TWO)
    assert str(caught.value) == (
        "evaluate's baselines: packages are not installed; type: pip install 'yaodian[evaluate]'"
    )
    assert KeywordList.fit(ROWS, TWO).predict(ROWS[:1]).shape == (1, 2)
