"""Calibration: an affine map of each theme's logit, fitted on out-of-fold scores and folded into the classification layer.

Platt scaling (Platt 1999, “Probabilistic outputs for support vector machines”) with one slope and one offset a theme. Since the last layer
is linear, the map becomes part of its weights: a calibrated bundle opens and runs like any other. Slopes are positive, so the highest
of an item's windows stays the highest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from train.evaluation.metrics import BoolArray, FloatArray

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_EXTREME = 60.0  # of a logit; the score differs from 0 or 1 by 1e-26 there
_MIN_EXAMPLES = 10  # of either kind; a slope fitted on fewer is luck


@dataclass(frozen=True, slots=True)
class Calibration:
    """The map `slope · logit + offset`.

    Attributes:
        slope: float64[n_themes], positive.
        offset: float64[n_themes].
    """

    slope: FloatArray
    offset: FloatArray

    @classmethod
    def fit(cls, gold: BoolArray, scores: FloatArray) -> Self:
        """Fits on scores of items that the network was not trained on.

        A theme with fewer than ten positives or ten negatives, or whose scores rise where the theme does not, keeps its scores.

        Args:
            gold: shape (n_items, n_themes).
            scores: shape (n_items, n_themes), in [0, 1].
        """
        from sklearn.linear_model import LogisticRegression

        slope, offset = np.ones(gold.shape[1]), np.zeros(gold.shape[1])
        logits = logit(scores)
        for at, wanted in enumerate(gold.T):
            if min(wanted.sum(), (~wanted).sum()) < _MIN_EXAMPLES:
                continue
            fitted = LogisticRegression(C=np.inf).fit(logits[:, [at]], wanted)
            if fitted.coef_[0, 0] > 0:
                slope[at], offset[at] = fitted.coef_[0, 0], fitted.intercept_[0]
        return cls(slope, offset)

    def apply(self, scores: FloatArray) -> FloatArray:
        """Calibrated scores, of the same shape."""
        return sigmoid(self.slope * logit(scores) + self.offset)

    def undo(self, scores: FloatArray) -> FloatArray:
        """What `apply` was given."""
        return sigmoid((logit(scores) - self.offset) / self.slope)

    def fold_into(self, model: PreTrainedModel) -> None:
        """Changes the classification layer so that the network gives calibrated scores by itself."""
        import torch

        layer: Any = [m for m in model.classifier.modules() if isinstance(m, torch.nn.Linear)][-1]
        with torch.no_grad():
            slope, offset = (torch.tensor(a, dtype=layer.weight.dtype) for a in (self.slope, self.offset))
            layer.weight.mul_(slope[:, None])
            layer.bias.mul_(slope).add_(offset)


def logit(scores: FloatArray) -> FloatArray:
    """The inverse of `sigmoid`, kept within ±60."""
    with np.errstate(divide="ignore"):
        raised = np.log(scores) - np.log1p(-scores)
    clipped: FloatArray = np.clip(raised, -_EXTREME, _EXTREME)
    return clipped


def sigmoid(logits: FloatArray | NDArray[np.float64]) -> FloatArray:
    """Scores of logits, float64; logits beyond ±60 count as ±60."""
    scores: FloatArray = 1 / (1 + np.exp(-np.clip(logits, -_EXTREME, _EXTREME)))
    return scores
