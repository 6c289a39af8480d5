import numpy as np
import pytest

from train.corpus.doubts import doubts
from train.taxonomy import Taxonomy

ROWS = [
    {"plan": "p", "text": "修路", "labels": ["roads"]},
    {"plan": "p", "text": "治河", "labels": ["roads"]},
    {"plan": "q", "text": "办学", "labels": []},
]
SCORES = np.array([[0.9, 0.1, 0.0], [0.2, 0.95, 0.0], [0.0, 0.0, 0.7]])


def test_the_label_that_the_model_trusts_least_comes_first(taxonomy: Taxonomy) -> None:
    found = doubts(ROWS, SCORES, taxonomy, 4)
    # 治河: water is not labelled (.95), roads is (.2); 办学: schools is not (.7); then 修路's roads (.9) before water (.1), in order of place.
    assert [(d.at, d.theme, d.labelled) for d in found[:3]] == [
        (1, "water", False),
        (1, "roads", True),
        (2, "schools", False),
    ]
    assert [d.self_confidence for d in found] == pytest.approx([0.05, 0.2, 0.3, 0.9])


def test_scores_of_other_rows_are_refused(taxonomy: Taxonomy) -> None:
    with pytest.raises(ValueError, match=r"labels \(3, 3\) and scores \(2, 3\) must have the same shape"):
        doubts(ROWS, SCORES[:2], taxonomy, 4)
