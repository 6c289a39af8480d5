from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification, ElectraConfig, ElectraForSequenceClassification

from train.errors import ConfigError
from train.evaluation.metrics import best_thresholds
from train.learning.calibration import Calibration, logit, sigmoid
from train.learning.thresholds import Cuts, bagged_thresholds


def drawn(slope: float, offset: float, n: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn with probability sigmoid(slope · logit + offset), and the scores of these logits."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (n, 1))
    return rng.random((n, 1)) < sigmoid(slope * logits + offset), sigmoid(logits)


def test_a_map_that_was_put_in_is_found() -> None:
    found = Calibration.fit(*drawn(0.5, -1.0))
    assert found.slope[0] == pytest.approx(0.5, abs=0.03)
    assert found.offset[0] == pytest.approx(-1.0, abs=0.05)


def test_scores_that_are_right_stay_as_they_are() -> None:
    gold, scores = drawn(1.0, 0.0)
    assert Calibration.fit(gold, scores).apply(scores) == pytest.approx(scores, abs=0.02)


@pytest.mark.parametrize("case", ["nine positives", "no negatives", "upside down"])
def test_a_theme_that_says_too_little_keeps_its_scores(case: str) -> None:
    gold, scores = drawn(1.0, 0.0, 200)
    if case == "nine positives":
        gold[:], gold[:9] = False, True
    elif case == "no negatives":
        gold[:] = True
    else:
        gold = ~gold
    found = Calibration.fit(gold, scores)
    assert (found.slope[0], found.offset[0]) == (1, 0)


def test_undoing_gives_what_was_there() -> None:
    scores = np.array([[0.001, 0.2], [0.5, 0.999]])
    found = Calibration(np.array([0.7, 2.0]), np.array([0.3, -1.0]))
    assert found.undo(found.apply(scores)) == pytest.approx(scores)
    assert logit(np.array([0.0, 0.5, 1.0])).tolist() == [-60, 0, 60]


@pytest.mark.parametrize("kind", ["bert", "electra"])
def test_a_network_into_which_the_map_is_folded_gives_calibrated_scores(kind: str) -> None:
    shape = {
        "vocab_size": 30,
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "num_labels": 2,
    }
    torch.manual_seed(0)
    model = (
        BertForSequenceClassification(BertConfig(**shape))
        if kind == "bert"
        else ElectraForSequenceClassification(ElectraConfig(**shape, embedding_size=16))
    ).eval()
    found, ids = Calibration(np.array([0.5, 3.0]), np.array([-1.0, 0.25])), torch.arange(20).reshape(2, 10)
    with torch.inference_mode():
        before = model(input_ids=ids).logits.double().numpy()
    found.fold_into(model)
    with torch.inference_mode():
        after = model(input_ids=ids).logits.double().numpy()
    assert sigmoid(after) == pytest.approx(found.apply(sigmoid(before)), abs=1e-6)


def test_cuts_are_fitted_on_calibrated_scores_and_tell_the_error_before_and_after() -> None:
    gold, scores = drawn(0.5, -1.0, 4000)
    rows = [{"plan": f"p{at // 10}", "text": "x", "labels": ["a"] if yes else []} for at, yes in enumerate(gold[:, 0])]
    cuts = Cuts.fit(rows, scores, ["a"], "folds")
    figures = cuts.calibration_figures(rows, cuts.scores, ["a"])
    assert figures["ece_before"] > 0.1 > 0.03 > figures["ece_after"]
    # F1 wants a cut at half of the best F1 (Lipton et al. 2014), which lies below .5.
    assert 0.2 < cuts.thresholds[0] < 0.5
    assert cuts.score_lines(["a"]).splitlines()[11].startswith('{"plan": "p1", "at": 1, "item": "')


def test_the_thresholds_of_a_single_plan_are_its_best_cuts_drawn_to_one_half_as_no_resample_differs() -> None:
    """With fifty items of a theme a cut at .8, whose odds are 4, becomes one at 2/3, whose odds are 2, the root of 4."""
    scores = np.array([[0.9]] * 50 + [[0.7]] * 50)
    gold = np.array([[True]] * 50 + [[False]] * 50)
    assert best_thresholds(gold, scores) == [pytest.approx(0.8)]
    assert bagged_thresholds(gold, scores, ["a"] * 100) == [pytest.approx(2 / 3)]


def test_the_threshold_of_a_theme_without_items_is_one_half() -> None:
    assert bagged_thresholds(np.zeros((4, 1), dtype=np.bool_), np.full((4, 1), 0.2), ["a"] * 4) == [0.5]


def test_thresholds_are_the_mean_over_resamples_of_plans() -> None:
    """Alone, plan a is best cut at .3 and plan b at .7; drawn together, .7 costs a positive and .3 a negative, so that .3 is better."""
    scores = np.array([[0.2], [0.4], [0.9], [0.6], [0.8], [0.95]] * 10_000)
    gold = np.array([[False], [True], [True], [False], [True], [True]] * 10_000)
    plans = (["a"] * 3 + ["b"] * 3) * 10_000
    (found,) = bagged_thresholds(gold, scores, plans)
    assert [best_thresholds(gold[part], scores[part]) for part in (slice(3), slice(3, 6), slice(6))] == [
        [pytest.approx(cut)] for cut in (0.3, 0.7, 0.3)
    ]
    # A quarter of the resamples holds b alone: logit(.3) = -.85, logit(.7) = .85, and -.85 × 3/4 + .85 / 4 = logit(.4) or so.
    assert found == pytest.approx(0.4, abs=0.08)
    assert bagged_thresholds(gold, scores, plans) == [found]  # the draw is seeded


def test_thresholds_of_a_bundle_with_other_themes_are_refused(bundle: Path) -> None:
    assert Cuts.of_bundle(str(bundle), ["roads", "water", "schools"]).thresholds == [0.5, 0.5, 0.5]
    with pytest.raises(
        ConfigError, match=r"has other themes, so its thresholds don't fit; set data\.validation or data\.n_folds"
    ):
        Cuts.of_bundle(str(bundle), ["roads"])
