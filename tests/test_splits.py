import random
from collections import Counter
from fractions import Fraction

import pytest
from conftest import invented_rows
from hypothesis import given
from hypothesis import strategies as st

from train.corpus.splits import deal, fold_plans, split_plans
from train.errors import SplitError
from train.rows import Row, plan_names
from train.taxonomy import Taxonomy


def split_of(rows: list[Row], taxonomy: Taxonomy, held_out: list[str] | float = 0.2, seed: int = 1) -> list[list[str]]:
    split = split_plans(rows, taxonomy, held_out=held_out, validation=0.15, seed=seed)
    return [split.train, split.validation, split.test]


def test_every_plan_is_in_exactly_one_part(rows: list[Row], taxonomy: Taxonomy) -> None:
    for seed in range(5):
        parts = split_of(rows, taxonomy, seed=seed)
        assert sorted(name for part in parts for name in part) == sorted(plan_names(rows))
        assert all(parts)


def test_the_same_seed_gives_the_same_split_whatever_the_order_of_rows_in_a_plan(
    rows: list[Row], taxonomy: Taxonomy
) -> None:
    plans = [[r for r in rows if r["plan"] == name] for name in plan_names(rows)]
    turned = [row for plan in plans for row in reversed(plan)]
    assert split_of(rows, taxonomy) == split_of(turned, taxonomy)


def test_parts_have_about_the_items_asked_for_and_every_theme(taxonomy: Taxonomy) -> None:
    rows = invented_rows(40, 10)
    for seed in range(5):
        train, validation, test = split_of(rows, taxonomy, seed=seed)
        assert len(test) == pytest.approx(8, abs=1)  # plans of equal size: 0.2 of 40
        assert len(validation) == pytest.approx(0.15 * 32, abs=1)
        per_theme = Counter(k for r in rows for k in r["labels"])
        held = Counter(k for r in rows if r["plan"] in test for k in r["labels"])
        for key in taxonomy.keys:
            assert held[key] / per_theme[key] == pytest.approx(0.2, abs=0.06)
        assert train


def test_a_rare_theme_is_spread_before_the_common_ones(taxonomy: Taxonomy) -> None:
    # Of ten plans four have water; dealing them last would leave parts without.
    rows = [{"plan": f"p{n}", "text": "x", "labels": ["roads"]} for n in range(10) for _ in range(5)]
    rows += [{"plan": f"p{n}", "text": "x", "labels": ["water"]} for n in range(4)]
    for seed in range(10):
        parts = deal(rows, taxonomy, plan_names(rows), [Fraction(1, 2)] * 2, seed)
        assert [sum(name in ("p0", "p1", "p2", "p3") for name in part) for part in parts] == [2, 2]
        assert [len(part) for part in parts] == [5, 5]


@given(
    sizes=st.lists(st.integers(1, 30), min_size=2, max_size=12),
    shares=st.lists(st.integers(1, 5), min_size=2, max_size=5),
    seed=st.integers(0, 9),
)
def test_dealing_loses_no_plan_and_leaves_no_part_empty(
    sizes: list[int], shares: list[int], seed: int, taxonomy: Taxonomy
) -> None:
    draw = random.Random(seed)
    rows = [
        {"plan": f"p{n}", "labels": [k for k in taxonomy.keys if draw.random() < 0.3]}
        for n, size in enumerate(sizes)
        for _ in range(size)
    ]
    names = plan_names(rows)
    parts = deal(rows, taxonomy, names, [Fraction(s, sum(shares)) for s in shares], seed)
    assert sorted(name for part in parts for name in part) == sorted(names)
    assert sum(not part for part in parts) == max(0, len(parts) - len(names))


def test_plans_can_be_held_out_by_name(rows: list[Row], taxonomy: Taxonomy) -> None:
    names = ["甲3县2025.docx", "甲1县2025.docx"]
    assert split_of(rows, taxonomy, names)[2] == ["甲1县2025.docx", "甲3县2025.docx"]
    assert split_of(rows, taxonomy, 0)[2] == []
    assert split_of(rows, taxonomy, [])[2] == []


def test_folds_are_plans_dealt_once(rows: list[Row], taxonomy: Taxonomy) -> None:
    folds = fold_plans(rows, taxonomy, 5, seed=3)
    assert sorted(name for fold in folds for name in fold) == sorted(plan_names(rows))
    assert {len(fold) for fold in folds} == {2}


def test_splits_that_cannot_be_made_say_why(rows: list[Row], taxonomy: Taxonomy) -> None:
    with pytest.raises(SplitError, match=r"held-out plans not in the data: 乙\.docx; it has 甲0县2025\.docx"):
        split_of(rows, taxonomy, ["乙.docx"])
    with pytest.raises(SplitError, match="10 plans, 9 of them held out: at least 2 must be left"):
        split_of(rows, taxonomy, plan_names(rows)[1:])
    with pytest.raises(SplitError, match="1 plans, 0 of them held out"):
        split_of(rows[:3], taxonomy, 0)
    with pytest.raises(
        SplitError, match=r"11 folds need at least as many plans, the training data has 10; set data\.n_folds"
    ):
        fold_plans(rows, taxonomy, 11, seed=1)


def test_a_theme_without_a_training_example_is_named(rows: list[Row], taxonomy: Taxonomy) -> None:
    only = "甲0县2025.docx"
    bare = [r | {"labels": [k for k in r["labels"] if k == "roads" or r["plan"] == only]} for r in rows]
    advice = r"hold out other plans \(data\.held_out\), annotate more, or drop the theme"
    with pytest.raises(SplitError, match=f"no training example of water, schools: {advice}"):
        split_of(bare, taxonomy, [only])
    with pytest.raises(SplitError, match=r"no fold [12]'s training example of water, schools"):
        fold_plans(bare, taxonomy, 2, seed=1)


def test_without_validation_all_plans_that_are_not_held_out_are_learned_from(
    rows: list[Row], taxonomy: Taxonomy
) -> None:
    names = plan_names(rows)
    split = split_plans(rows, taxonomy, held_out=names[1:], validation=0, seed=1)
    assert (split.train, split.validation) == (names[:1], [])
    with pytest.raises(SplitError, match="10 plans, 10 of them held out: at least 1 must be left for training"):
        split_plans(rows, taxonomy, held_out=names, validation=0, seed=1)
