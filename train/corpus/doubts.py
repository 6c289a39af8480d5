"""Labels that out-of-fold scores contradict: the first to read again when wrong annotations are looked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from train.evaluation.metrics import FloatArray, label_matrix
from train.rows import Row
from train.taxonomy import Taxonomy


@dataclass(frozen=True, slots=True)
class Doubt:
    """One label of one item that the model would not have given, or would have.

    Attributes:
        at: index of the row.
        theme: key of the theme in doubt.
        labelled: whether the annotation has it.
        score: the model's probability of the theme, [0, 1].
    """

    at: int
    theme: str
    labelled: bool
    score: float

    @property
    def self_confidence(self) -> float:
        """The probability that the model gives to what the annotation says, [0, 1]."""
        return self.score if self.labelled else 1 - self.score


def doubts(rows: Sequence[Row], scores: FloatArray, taxonomy: Taxonomy, limit: int) -> list[Doubt]:
    """The labels with the least self-confidence, most doubtful first.

    Self-confidence of out-of-fold probabilities is the label quality score of confident learning (Northcutt, Jiang & Chuang 2021, JAIR
    70:1373), taken per theme as for multi-label data (Thyagarajan et al. 2022, arXiv:2211.13895). Calibrated scores make themes comparable.

    Args:
        rows: annotated rows.
        scores: shape (n_items, n_themes), each from a model that did not see the item's plan.
        taxonomy: the themes, in the order of the columns.
        limit: how many to return.

    Raises:
        ValueError: shapes that do not match.

    Example:
        >>> from train.taxonomy import Taxonomy
        >>> themes = Taxonomy.parse({"themes": [{"key": k, "zh": k, "en": k, "definition": k, "colour": "#000000"} for k in ("a", "b")]}, "")
        >>> rows = [{"plan": "p", "text": "x", "labels": ["a"]}, {"plan": "p", "text": "y", "labels": []}]
        >>> [(d.at, d.theme, d.labelled) for d in doubts(rows, np.array([[0.9, 0.3], [0.2, 0.8]]), themes, 2)]
        [(1, 'b', False), (0, 'b', False)]
    """
    gold = label_matrix(rows, taxonomy.keys)
    if gold.shape != scores.shape:
        raise ValueError(f"labels {gold.shape} and scores {scores.shape} must have the same shape")
    confidence = np.where(gold, scores, 1 - scores)
    order = np.argsort(confidence, axis=None, kind="stable")[:limit]
    places = zip(*np.unravel_index(order, gold.shape), strict=True)
    return [Doubt(int(i), taxonomy.keys[j], bool(gold[i, j]), float(scores[i, j])) for i, j in places]
