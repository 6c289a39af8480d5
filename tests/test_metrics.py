from __future__ import annotations

import doctest
import json
import math
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from train.errors import RowError
from train.evaluation import metrics
from train.evaluation.metrics import best_thresholds, evaluate, expected_calibration_error, label_matrix

KEYS = ["a", "b", "c"]
# a: tp 1 fp 1 fn 1 · b: tp 1 · c: no support, fp 1
GOLD = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 0, 0]], dtype=bool)
PREDICTED = np.array([[1, 0, 1], [0, 1, 0], [0, 0, 0], [1, 0, 0]], dtype=bool)
PLANS = ["p", "p", "q", "q"]


@st.composite
def gold_and_predicted(draw):
    shape = draw(st.integers(1, 25)), draw(st.integers(1, 5))
    return draw(arrays(bool, shape)), draw(arrays(bool, shape))


@st.composite
def gold_and_scores(draw):
    n = draw(st.integers(1, 20))
    scores = st.floats(0, 1) | st.sampled_from([0.0, 0.02, 0.05, 0.5, 0.95, 0.97, 1.0])
    return draw(arrays(bool, (n, 1))), draw(arrays(np.float64, (n, 1), elements=scores))


def f1_at(gold, scores, cut):
    tagged = scores >= cut
    return 2 * (tagged & gold).sum() / (tagged.sum() + gold.sum())


def test_the_examples_in_the_docstrings_hold():
    outcome = doctest.testmod(metrics)
    assert outcome.attempted >= 6
    assert outcome.failed == 0


def test_scores_of_a_case_worked_by_hand():
    scores = evaluate(GOLD, PREDICTED, PLANS, KEYS)
    assert scores.macro_f1 == (0.5 + 1) / 2  # c has no support and is left out
    assert scores.micro_f1 == 4 / 7  # 2·2 / (2·2 + 2 fp + 1 fn): the fp of c counts
    assert scores.subset_accuracy == 1 / 4
    assert (scores.n_items, scores.n_plans) == (4, 2)
    assert scores.per_theme["a"] == metrics.ThemeScores(precision=0.5, recall=0.5, f1=0.5, support=2)
    assert scores.per_theme["b"] == metrics.ThemeScores(precision=1.0, recall=1.0, f1=1.0, support=1)


def test_the_dictionary_has_exactly_the_keys_of_the_contract_and_null_for_nan():
    found = evaluate(GOLD, PREDICTED, PLANS, KEYS).as_dict()
    assert list(found) == ["macro_f1", "micro_f1", "subset_accuracy", "n_items", "n_plans", "per_label", "ci95"]
    assert list(found["per_label"]) == KEYS
    assert found["per_label"]["c"] == {"precision": 0.0, "recall": None, "f1": None, "support": 0}
    assert set(found["ci95"]) == {"macro_f1", "micro_f1"}
    assert json.loads(json.dumps(found, allow_nan=False)) == found


@given(gold_and_predicted())
@settings(deadline=None, max_examples=60)
def test_scores_agree_with_scikit_learn(case):
    from sklearn.metrics import accuracy_score, precision_recall_fscore_support

    gold, predicted = case
    n_items, n_themes = gold.shape
    found = evaluate(gold, predicted, ["p"] * n_items, [f"t{at}" for at in range(n_themes)])
    # two columns that are always right and empty keep scikit-learn from taking one column for a binary task
    gold, predicted = (np.hstack([m, np.zeros((n_items, 2), bool)]).astype(int) for m in (gold, predicted))
    each = np.array(precision_recall_fscore_support(gold, predicted, average=None, zero_division=0))[:, :n_themes]
    for theme, (precision, recall, f1, support) in zip(found.per_theme.values(), each.T, strict=True):
        assert theme.support == support
        if support:
            assert (theme.precision, theme.recall, theme.f1) == pytest.approx((precision, recall, f1))
    micro = precision_recall_fscore_support(gold, predicted, average="micro", zero_division=np.nan)[2]
    assert found.micro_f1 == pytest.approx(micro, nan_ok=True)
    supported = each[3] > 0
    assert found.macro_f1 == pytest.approx(each[2][supported].mean() if supported.any() else math.nan, nan_ok=True)
    assert found.subset_accuracy == pytest.approx(accuracy_score(gold, predicted))


def test_a_theme_with_support_that_is_never_predicted_scores_nought():
    scores = evaluate(np.array([[True, True]]), np.array([[False, True]]), ["p"], ["a", "b"])
    assert scores.per_theme["a"] == metrics.ThemeScores(precision=0.0, recall=0.0, f1=0.0, support=1)
    assert scores.macro_f1 == 0.5


def test_without_any_theme_on_either_side_f1_is_undefined_and_every_set_right():
    nothing = np.zeros((3, 2), bool)
    scores = evaluate(nothing, nothing, ["p", "q", "q"], ["a", "b"])
    assert math.isnan(scores.macro_f1)
    assert math.isnan(scores.micro_f1)
    assert math.isnan(scores.per_theme["a"].precision)
    assert scores.subset_accuracy == 1
    assert scores.as_dict()["ci95"] == {"macro_f1": [None, None], "micro_f1": [None, None]}


def test_shapes_that_do_not_match_are_named():
    with pytest.raises(ValueError, match=r"gold \(4, 3\) and predicted \(4, 3\).*\(4, 2\)"):
        evaluate(GOLD, PREDICTED, PLANS, ["a", "b"])
    with pytest.raises(ValueError, match="with items"):
        evaluate(GOLD[:0], PREDICTED[:0], [], KEYS)


def test_one_plan_has_no_interval():
    assert evaluate(GOLD, PREDICTED, ["p"] * 4, KEYS).as_dict()["ci95"]["macro_f1"] == [None, None]


def test_the_interval_of_two_plans_spans_the_three_possible_resamples():
    # plan p alone: F1 1 (tp 2); plan q alone: F1 0 (fn 2); both: 2·2 / (4 + 2) = 2/3. p alone and q alone come up a quarter of the time each.
    gold = np.ones((4, 1), bool)
    predicted = np.array([[1], [1], [0], [0]], bool)
    scores = evaluate(gold, predicted, ["p", "p", "q", "q"], ["a"])
    assert scores.macro_f1 == pytest.approx(2 / 3)
    assert scores.ci95["macro_f1"] == (0, 1)


def test_plans_that_are_equally_well_tagged_give_an_interval_without_width():
    gold = np.array([[1, 0], [0, 1]] * 5, bool)
    predicted = np.array([[1, 1], [0, 1]] * 5, bool)
    scores = evaluate(gold, predicted, [f"p{at // 2}" for at in range(10)], ["a", "b"])
    assert scores.ci95["macro_f1"] == pytest.approx((scores.macro_f1, scores.macro_f1))


def test_the_bootstrap_agrees_with_resampling_the_rows_one_by_one():
    rng = np.random.default_rng(3)
    gold = rng.random((120, 3)) < 0.3
    predicted = gold ^ (rng.random((120, 3)) < 0.15)
    plans = rng.integers(0, 12, 120)
    found = evaluate(gold, predicted, [str(plan) for plan in plans], KEYS)
    rows_of = [np.flatnonzero(plans == plan) for plan in range(12)]
    values = []
    for _ in range(400):
        at = np.concatenate([rows_of[plan] for plan in rng.integers(0, 12, 12)])
        g, p = gold[at], predicted[at]
        values.append(np.mean([2 * (g & p)[:, t].sum() / (g[:, t].sum() + p[:, t].sum()) for t in range(3)]))
    assert found.ci95["macro_f1"] == pytest.approx(np.percentile(values, [2.5, 97.5]), abs=0.02)


def test_intervals_repeat_exactly_and_take_no_noticeable_time():
    rng = np.random.default_rng(0)
    gold, predicted = rng.random((3000, 6)) < 0.2, rng.random((3000, 6)) < 0.2
    plans = [str(at % 60) for at in range(3000)]
    start = time.perf_counter()
    first = evaluate(gold, predicted, plans, list("abcdef"))
    assert time.perf_counter() - start < 1  # some 20 ms; the rest is for a busy machine
    assert first == evaluate(gold, predicted, plans, list("abcdef"))


def test_labels_become_columns_in_the_order_of_the_keys():
    rows = [{"plan": "p", "labels": ["c", "a"]}, {"plan": "p", "labels": []}]
    assert label_matrix(rows, KEYS).tolist() == [[True, False, True], [False, False, False]]
    assert label_matrix([], KEYS).shape == (0, 3)


def test_all_rows_that_cannot_be_scored_are_named_at_once():
    rows = [{"plan": "p.txt", "number": "3", "labels": ["x", "a"]}, {"plan": "q.txt"}, {"plan": "q.txt", "labels": []}]
    with pytest.raises(RowError) as caught:
        label_matrix(rows, KEYS)
    assert str(caught.value) == (
        "2 rows cannot be scored (themes are a, b, c): p.txt 3: unknown theme x; q.txt: not annotated (no `labels`)"
    )


def test_of_many_rows_that_cannot_be_scored_the_first_twenty_are_named():
    with pytest.raises(
        RowError, match=r"^30 rows cannot be scored .*p 20: not annotated \(no `labels`\); and 10 more$"
    ):
        label_matrix([{"plan": f"p {at}"} for at in range(1, 31)], KEYS)


@pytest.mark.parametrize(
    ("gold", "scores", "cut"),
    [
        ([0, 1, 0, 1], [0.25, 0.5, 0.75, 1.0], 0.375),  # F1 4/5 at .375 against 2/3, 1/2, 2/3
        ([0, 1], [0.125, 0.375], 0.25),  # midway
        ([1, 1], [0.25, 0.75], 0.125),  # everything is tagged: midway between 0 and the lowest score
        ([0, 0], [0.9, 0.2], 0.5),  # no positives
        ([0, 1], [0.0, 0.03], 0.5),  # a positive that no allowed cut reaches
        ([0, 1], [0.01, 0.06], 0.05),  # midway would be .035
        (
            [0, 1],
            [0.96, 1.0],
            0.48,
        ),  # parting the two takes a cut above .95; tagging both is left, midway between 0 and .96
        ([0, 1], [0.92, 1.0], 0.95),  # midway would be .96
        ([1, 0, 0, 1], [0.875, 0.75, 0.125, 0.625], 0.375),  # F1 2/3, 1/2, 4/5, 2/3 from the top
        ([1, 0], [0.5, 0.5], 0.25),  # equal scores cannot be parted
    ],
)
def test_best_threshold_of_cases_worked_by_hand(gold, scores, cut):
    found = best_thresholds(np.array(gold, bool)[:, None], np.array(scores)[:, None])
    assert found == [pytest.approx(cut)]


def test_of_equally_good_cuts_the_one_nearest_to_the_middle_wins():
    # from .85 one of the two positives and nothing else is tagged, from .2 everything: F1 2/3 both; .2 is nearer to .5
    gold, scores = np.array([[1], [0], [0], [1]], bool), np.array([[0.9], [0.8], [0.4], [0.4]])
    assert [round(f1_at(gold, scores, cut), 3) for cut in (0.85, 0.6, 0.2)] == [0.667, 0.5, 0.667]
    assert best_thresholds(gold, scores) == [pytest.approx(0.2)]


@given(gold_and_scores())
@settings(deadline=None, max_examples=150)
def test_no_other_cut_in_the_range_has_a_better_f1(case):
    gold, scores = case
    (found,) = best_thresholds(gold, scores)
    assert 0.05 <= found <= 0.95
    if gold.any():
        rivals = [0.05, 0.5, 0.95, *scores[(scores >= 0.05) & (scores <= 0.95)]]
        assert f1_at(gold, scores, found) >= max(f1_at(gold, scores, cut) for cut in rivals)
    else:
        assert found == 0.5


def test_each_theme_gets_its_own_cut():
    gold = np.array([[1, 0], [0, 0]], bool)
    assert best_thresholds(gold, np.array([[0.75, 0.9], [0.25, 0.8]])) == [0.5, 0.5]
    assert best_thresholds(gold, np.array([[0.25, 0.9], [0.125, 0.8]])) == [0.1875, 0.5]


def test_calibration_error_is_the_mean_over_themes():
    gold = np.array([[0, 1], [0, 1], [1, 1], [1, 1]], bool)
    scores = np.array([[0.1, 1], [0.3, 1], [0.8, 1], [1.0, 1]])
    # first theme: bins (.1, .3) and (.8, 1): |.2 - 0| and |.9 - 1|, mean .15; second theme: 0
    assert expected_calibration_error(gold, scores, bins=2) == pytest.approx(0.075)


def test_equal_scores_share_a_bin_so_that_the_order_of_items_has_no_say():
    gold, scores = np.array([[0], [0], [1], [1]], bool), np.full((4, 1), 0.5)
    assert expected_calibration_error(gold, scores, bins=4) == 0


@given(gold_and_scores(), st.integers(1, 20), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=60)
def test_calibration_error_is_a_fraction_and_ignores_order(case, bins, random):
    gold, scores = case
    found = expected_calibration_error(gold, scores, bins)
    order = list(range(len(gold)))
    random.shuffle(order)
    assert 0 <= found <= 1
    assert expected_calibration_error(gold[order], scores[order], bins) == pytest.approx(found)
    # one bin is the least that any binning can find (triangle inequality)
    assert found >= expected_calibration_error(gold, scores, 1) - 1e-12


def test_scores_drawn_from_their_own_probabilities_are_calibrated_and_pushed_ones_are_not():
    rng = np.random.default_rng(0)
    scores = rng.random((20_000, 1))
    gold = rng.random((20_000, 1)) < scores
    assert expected_calibration_error(gold, scores) < 0.015
    assert expected_calibration_error(gold, scores**3) > 0.2  # E|p - p³| = 1/4


def test_calibration_error_of_nothing_is_undefined_and_nonsense_is_refused():
    assert math.isnan(expected_calibration_error(np.zeros((0, 2), bool), np.zeros((0, 2))))
    with pytest.raises(ValueError, match="bins positive, got 0"):
        expected_calibration_error(GOLD, GOLD.astype(float), bins=0)
    with pytest.raises(ValueError, match="must have the same shape"):
        best_thresholds(GOLD, np.zeros((4, 2)))


def test_the_metrics_load_without_scikit_learn_and_torch():
    code = "import sys, train.evaluation; sys.exit(bool({'sklearn', 'scipy', 'torch', 'rich', 'pandas'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
