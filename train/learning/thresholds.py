"""How logits become themes: calibration and one threshold a theme, and the scores that both were fitted on."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from train.errors import ConfigError
from train.evaluation.metrics import BoolArray, FloatArray, best_thresholds, expected_calibration_error, label_matrix
from train.learning.calibration import Calibration
from train.rows import Row, content_id
from train.tagging.bundle import Bundle, bundle_folder

OF_BUNDLE = "the bundle it went on from"
_RESAMPLES = 50
# Items of a theme at which its cut is trusted as much as one half is: `docs/experiments.md` has 0, 50 and 200 beside each other.
_PRIOR = 50


def bagged_thresholds(gold: BoolArray, scores: FloatArray, plans: Sequence[str], seed: int = 0) -> list[float]:
    """The mean, as logits, of the best cuts of 50 resamples of plans (bagging: Breiman 1996, Machine Learning 24), drawn towards one half.

    A single best cut follows the few items of a rare theme that happen to lie near it. And the networks that scored out of fold saw fewer of
    those few than the one that the cuts are for, which scores them higher. So with n items of a theme its logit is multiplied by n / (n + 50), as
    a mean is shrunk (James and Stein 1961). `docs/experiments.md` has what both give.

    Args:
        gold: shape (n_items, n_themes).
        scores: shape (n_items, n_themes), probabilities in [0, 1] by a model that was not trained on these items.
        plans: of the items; a resample draws whole plans, with replacement.
        seed: of the draw.

    Returns:
        One threshold in [.05, .95] per theme.
    """
    rng = np.random.default_rng(seed)
    _, plan = np.unique(np.asarray(plans), return_inverse=True)
    members = np.split(np.argsort(plan, kind="stable"), np.cumsum(np.bincount(plan))[:-1])
    cuts = list[list[float]]()
    for _ in range(_RESAMPLES):
        drawn = np.concatenate([members[at] for at in rng.integers(0, len(members), len(members))])
        cuts.append(best_thresholds(gold[drawn], scores[drawn]))
    odds = np.array(cuts) / (1 - np.array(cuts))
    n_items = gold.sum(axis=0)
    mean = np.exp(np.log(odds).mean(axis=0) * n_items / (n_items + _PRIOR))
    return [float(cut) for cut in mean / (1 + mean)]


@dataclass(frozen=True, slots=True)
class Cuts:
    """Calibration and thresholds.

    Attributes:
        calibration: of the network's scores.
        thresholds: of calibrated scores, in taxonomy order.
        rows: what both were fitted on.
        scores: calibrated, float64[n_rows, n_themes].
        source: the kind of these scores, for people.
    """

    calibration: Calibration
    thresholds: list[float]
    rows: Sequence[Row]
    scores: FloatArray
    source: str

    @classmethod
    def fit(cls, rows: Sequence[Row], scores: FloatArray, keys: list[str], source: str) -> Self:
        """Fits on items that the network which scored them was not trained on.

        Args:
            rows: annotated.
            scores: shape (n_rows, n_themes), not calibrated.
            keys: themes, in the order of the columns.
            source: the kind of these scores, for people.
        """
        gold = label_matrix(rows, keys)
        calibration = Calibration.fit(gold, scores)
        calibrated = calibration.apply(scores)
        return cls(
            calibration, bagged_thresholds(gold, calibrated, [r["plan"] for r in rows]), rows, calibrated, source
        )

    @classmethod
    def of_bundle(cls, init: str, keys: list[str]) -> Self:
        """The thresholds of the bundle that a run went on from, where the run had no scores of its own to fit them on.

        Raises:
            ConfigError: that bundle has other themes.
        """
        bundle = Bundle.open(bundle_folder(init))
        if bundle.taxonomy.keys != keys:
            raise ConfigError(
                f"init={init}: has other themes, so its thresholds don't fit; set data.validation or data.n_folds"
            )
        keep = Calibration(np.ones(len(keys)), np.zeros(len(keys)))
        return cls(keep, list(bundle.thresholds), [], np.zeros((0, len(keys))), f"{OF_BUNDLE} ({init})")

    def calibration_figures(self, rows: Sequence[Row], scores: FloatArray, keys: list[str]) -> dict[str, Any]:
        """Expected calibration error before and after, and the map itself, as metrics.json holds them.

        Args:
            rows: annotated rows that nothing was fitted on.
            scores: shape (n_rows, n_themes), calibrated.
            keys: themes, in the order of the columns.
        """
        gold = label_matrix(rows, keys)
        return {
            "ece_before": round(expected_calibration_error(gold, self.calibration.undo(scores)), 4),
            "ece_after": round(expected_calibration_error(gold, scores), 4),
            "slope": dict(zip(keys, self.calibration.slope.round(4).tolist(), strict=True)),
            "offset": dict(zip(keys, self.calibration.offset.round(4).tolist(), strict=True)),
        }

    def score_lines(self, keys: list[str]) -> str:
        """The scores as JSON Lines: plan, place of the item among those of its plan, its id, score of each theme."""
        seen: Counter[str] = Counter()
        lines = list[str]()
        for row, scores in zip(self.rows, self.scores, strict=True):
            named = dict(zip(keys, scores.round(4).tolist(), strict=True))
            place = {"plan": row["plan"], "at": seen[row["plan"]], "item": content_id(row)}
            lines.append(json.dumps(place | {"scores": named}, ensure_ascii=False))
            seen[row["plan"]] += 1
        return "".join(line + "\n" for line in lines)
