"""F1 per theme and over themes with intervals over plans, per-theme thresholds, calibration. NumPy alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from train.errors import RowError, listed
from train.rows import Row

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
Interval = tuple[float, float]

_RESAMPLES = 2_000  # the ends of an interval then move by less than .003 from seed to seed (21 plans)
_SEED = 20_240_229  # the same resamples on every call, so two models on the same plans meet the same luck
_LOWEST, _HIGHEST, _NEUTRAL = 0.05, 0.95, 0.5  # a cut beyond these rests on a handful of extreme scores


@dataclass(frozen=True, slots=True)
class ThemeScores:
    """One theme's figures.

    Attributes:
        precision: right among the predicted; 0 if nothing was predicted though there was something to find, nan if there was nothing.
        recall: found among the annotated; nan without support.
        f1: harmonic mean of the two; nan without support.
        support: number of items annotated with the theme.
    """

    precision: float
    recall: float
    f1: float
    support: int

    def as_dict(self) -> dict[str, float | None]:
        """The figures by name; nan becomes None."""
        return {name: _or_none(value) for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Scores:
    """Figures of one set of predictions; `evaluate` says what each one averages.

    Attributes:
        per_theme: by theme key, in column order.
        macro_f1, micro_f1, subset_accuracy: [0, 1]; the two F1s are nan where undefined.
        n_items, n_plans: what was scored.
        ci95: 95 % intervals (low, high) of `macro_f1` and `micro_f1`; (nan, nan) for fewer than two plans.
    """

    per_theme: dict[str, ThemeScores]
    macro_f1: float
    micro_f1: float
    subset_accuracy: float
    n_items: int
    n_plans: int
    ci95: dict[str, Interval]

    def as_dict(self) -> dict[str, Any]:
        """The keys of the `evaluate --json` contract, ready for `json.dumps(..., allow_nan=False)`: nan becomes None."""
        return {
            "macro_f1": _or_none(self.macro_f1),
            "micro_f1": _or_none(self.micro_f1),
            "subset_accuracy": self.subset_accuracy,
            "n_items": self.n_items,
            "n_plans": self.n_plans,
            "per_label": {key: theme.as_dict() for key, theme in self.per_theme.items()},
            "ci95": {name: [_or_none(end) for end in ends] for name, ends in self.ci95.items()},
        }


def label_matrix(rows: Sequence[Row], keys: Sequence[str]) -> BoolArray:
    """The rows' labels as an array of shape (n_items, n_themes), columns in the order of the keys.

    Raises:
        RowError: rows that are not annotated, or have a label that is no key; the first of them are named.
    """
    column, faults = {key: at for at, key in enumerate(keys)}, list[str]()
    matrix = np.zeros((len(rows), len(keys)), dtype=np.bool_)
    for at, row in enumerate(rows):
        name = f"{row.get('plan')} {row.get('number', '')}".strip()
        if "labels" not in row:
            faults.append(f"{name}: not annotated (no `labels`)")
        elif unknown := [label for label in row["labels"] if label not in column]:
            faults.append(f"{name}: unknown theme {', '.join(unknown)}")
        else:
            matrix[at, [column[label] for label in row["labels"]]] = True
    if faults:
        raise RowError(f"{len(faults)} rows cannot be scored (themes are {', '.join(keys)}): {listed(faults)}")
    return matrix


def evaluate(gold: BoolArray, predicted: BoolArray, plans: Sequence[str], keys: Sequence[str]) -> Scores:
    """Scores multi-label predictions.

    - `f1` of a theme: 2tp / (2tp + fp + fn), over all items.
    - `macro_f1`: the unweighted mean of the themes' F1 over the themes with support (not the F1 of mean precision and mean
      recall, a more flattering figure: Opitz & Burst 2019, arXiv:1911.03347). A theme that no item is annotated with has no F1
      (nan) and is left out; one that is annotated and never found counts 0.
    - `micro_f1`: the same formula over the counts of all themes added up; predictions of a theme without support count as false positives.
    - `subset_accuracy`: share of items whose set of themes is exactly right, items without any theme among them.
    - `ci95`: percentile bootstrap (Efron & Tibshirani 1993, ch. 13) that draws whole plans with replacement, since items of one
      plan share author and subject (cluster bootstrap: Field & Welsh 2007, JRSS B 69:369). Themes without support in a resample
      are left out of its macro by the rule above. One plan has no interval; with fewer than ten, it tends to be too narrow.

    Args:
        gold: shape (n_items, n_themes).
        predicted: shape (n_items, n_themes).
        plans: the plan of each item.
        keys: theme keys in column order.

    Raises:
        ValueError: shapes that do not match, or no items.

    Example:
        `a`: tp 1, fp 1, fn 1, F1 2/4. `b`: tp 1, F1 1. `c`: no support, one fp. Macro (.5 + 1) / 2; micro 2·2 / (2·2 + 2 + 1) = 4/7;
        of the four items the second alone is exactly right.

        >>> gold = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 0, 0]], dtype=bool)
        >>> predicted = np.array([[1, 0, 1], [0, 1, 0], [0, 0, 0], [1, 0, 0]], dtype=bool)
        >>> scores = evaluate(gold, predicted, ["p", "p", "q", "q"], ["a", "b", "c"])
        >>> scores.macro_f1, round(scores.micro_f1, 4), scores.subset_accuracy
        (0.75, 0.5714, 0.25)
        >>> scores.per_theme["c"]
        ThemeScores(precision=0.0, recall=nan, f1=nan, support=0)
    """
    if gold.shape != predicted.shape or gold.shape != (len(plans), len(keys)) or not len(plans):
        raise ValueError(
            f"gold {gold.shape} and predicted {predicted.shape} must both have shape (n_items, n_themes) = ({len(plans)}, {len(keys)}), with items"
        )
    by_plan = _counts_by_plan(gold.astype(np.bool_), predicted.astype(np.bool_), plans)
    counts = by_plan.sum(axis=0)
    macro, micro = _averages(counts)
    return Scores(
        per_theme={key: _theme_scores(*counts[at]) for at, key in enumerate(keys)},
        macro_f1=float(macro),
        micro_f1=float(micro),
        subset_accuracy=float((gold == predicted).all(axis=1).mean()),
        n_items=len(plans),
        n_plans=len(by_plan),
        ci95=_intervals(by_plan),
    )


def best_thresholds(gold: BoolArray, scores: FloatArray) -> list[float]:
    """The cut of each theme that maximises its F1 when an item is tagged at `score >= cut`.

    Only scores that the model has not been trained on (out-of-fold) give honest cuts: on its own training items a network is sure of
    everything. Cuts lie midway between neighbouring scores, moved into [.05, .95] where the gap between the two reaches into it; of
    equally good ones the nearest to .5 wins. A theme without positives, or none of whose positives scores above .05, gets .5.
    The best cut for F1 is in general not .5 (Lipton, Elkan & Narayanaswamy 2014, arXiv:1402.1892).

    Args:
        gold: shape (n_items, n_themes).
        scores: shape (n_items, n_themes), probabilities in [0, 1].

    Returns:
        One threshold per theme.

    Raises:
        ValueError: shapes that do not match.

    Example:
        Sorted scores .25 (no), .5 (yes), .75 (no), 1 (yes). The cuts .875, .625, .375 and .125 give F1 2/3, 1/2, 4/5 and 2/3.

        >>> best_thresholds(np.array([[0], [1], [0], [1]], dtype=bool), np.array([[0.25], [0.5], [0.75], [1.0]]))
        [0.375]
    """
    if gold.shape != scores.shape:
        raise ValueError(f"gold {gold.shape} and scores {scores.shape} must have the same shape")
    return [
        _best_threshold(*columns) for columns in zip(gold.T.astype(np.bool_), scores.T.astype(np.float64), strict=True)
    ]


def expected_calibration_error(gold: BoolArray, scores: FloatArray, bins: int = 15) -> float:
    """How far scores are from frequencies: mean |mean score - share of positives| over bins, weighted by size, 0 is best.

    Computed per theme and averaged over all themes (class-wise ECE: Kull et al. 2019, arXiv:1910.12656), so that an overconfident
    theme does not cancel a timid one. Bins hold equally many items (equal mass: Nguyen & O'Connor, EMNLP 2015; less
    biased than equal width: Roelofs et al. 2022, arXiv:2012.08668); equal scores are never parted, so the order of items has no
    say. With few items the figure is biased upwards, since chance alone separates a bin's share from its score.

    Args:
        gold: shape (n_items, n_themes).
        scores: shape (n_items, n_themes), probabilities in [0, 1].
        bins: at most so many per theme.

    Returns:
        [0, 1]; nan without items or themes.

    Raises:
        ValueError: shapes that do not match, or no bins.

    Example:
        Two bins: mean scores .2 and .9, shares 0 and 1; (.2 + .1) / 2.

        >>> gold, scores = np.array([[0], [0], [1], [1]], dtype=bool), np.array([[0.1], [0.3], [0.8], [1.0]])
        >>> round(expected_calibration_error(gold, scores, bins=2), 4)
        0.15
    """
    if gold.shape != scores.shape or gold.ndim != 2 or bins < 1:
        raise ValueError(
            f"gold {gold.shape} and scores {scores.shape} must be one matrix's shape, and bins positive, got {bins}"
        )
    if not gold.size:
        return math.nan
    return float(np.mean([_calibration_error(gold[:, at], scores[:, at], bins) for at in range(gold.shape[1])]))


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value


def _ratio(part: FloatArray, whole: FloatArray) -> FloatArray:
    """`part / whole`, nan where the whole is 0."""
    ratio: FloatArray = np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=whole > 0)
    return ratio


def _counts_by_plan(gold: BoolArray, predicted: BoolArray, plans: Sequence[str]) -> FloatArray:
    """True positives, false positives, false negatives; shape (n_plans, n_themes, 3)."""
    index = {plan: at for at, plan in enumerate(dict.fromkeys(plans))}
    outcomes = np.stack([gold & predicted, ~gold & predicted, gold & ~predicted], axis=-1)
    counts = np.zeros((len(index), *outcomes.shape[1:]))
    np.add.at(counts, [index[plan] for plan in plans], outcomes)
    return counts


def _averages(counts: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Macro and micro F1 of counts with shape (..., n_themes, 3); both have shape (...)."""
    tp, fp, fn = np.moveaxis(counts, -1, 0)
    supported = tp + fn > 0
    f1 = np.where(supported, _ratio(2 * tp, 2 * tp + fp + fn), 0)
    macro = _ratio(f1.sum(axis=-1), supported.sum(axis=-1))
    tp, fp, fn = np.moveaxis(counts.sum(axis=-2), -1, 0)
    return macro, _ratio(2 * tp, 2 * tp + fp + fn)


def _theme_scores(tp: float, fp: float, fn: float) -> ThemeScores:
    support, found = tp + fn, tp + fp
    precision = tp / found if found else (0.0 if support else math.nan)
    recall, f1 = (tp / support, 2 * tp / (2 * tp + fp + fn)) if support else (math.nan, math.nan)
    return ThemeScores(float(precision), float(recall), float(f1), int(support))


def _intervals(by_plan: FloatArray) -> dict[str, Interval]:
    n_plans = len(by_plan)
    names = ("macro_f1", "micro_f1")
    if n_plans < 2:
        return dict.fromkeys(names, (math.nan, math.nan))
    draws = np.random.default_rng(_SEED).multinomial(n_plans, np.full(n_plans, 1 / n_plans), size=_RESAMPLES)
    counts = draws.astype(np.float64) @ by_plan.reshape(n_plans, -1)
    return {
        name: _middle_95(values)
        for name, values in zip(names, _averages(counts.reshape(_RESAMPLES, *by_plan.shape[1:])), strict=True)
    }


def _middle_95(values: FloatArray) -> Interval:
    values = values[~np.isnan(values)]
    if not values.size:
        return math.nan, math.nan
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def _best_threshold(gold: BoolArray, scores: FloatArray) -> float:
    """Every gap between neighbouring distinct scores is one candidate; `below < cut <= above` tags all that score `above` or more."""
    above, first = np.unique(scores, return_inverse=True)
    below = np.concatenate([[0.0], above[:-1]])
    n_tagged = np.bincount(first, minlength=len(above))[::-1].cumsum()[::-1]
    n_right = np.bincount(first, weights=gold, minlength=len(above))[::-1].cumsum()[::-1]
    middle = (below + above) / 2
    cuts = np.clip(np.where(middle > below, middle, above), _LOWEST, _HIGHEST)
    f1 = np.where((below < cuts) & (cuts <= above), _ratio(2 * n_right, n_tagged + gold.sum()), 0)
    if not f1.any():
        return _NEUTRAL
    best = cuts[f1 == f1.max()]
    return float(best[np.abs(best - _NEUTRAL).argmin()])


def _calibration_error(gold: BoolArray, scores: FloatArray, bins: int) -> float:
    order = np.sort(scores)
    rank = np.searchsorted(order, scores)  # of the first among equals, which keeps equals in one bin
    bin_of = rank * bins // len(scores)
    gaps = np.bincount(bin_of, weights=scores - gold)
    return float(np.abs(gaps).sum() / len(scores))
