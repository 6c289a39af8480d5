"""How good the tags are: F1 on whole plans that were held out, beside what simple means reach on the same plans."""

from train.evaluation.baselines import KeywordList, LinearTfidf, predict_baselines
from train.evaluation.metrics import Scores, best_thresholds, evaluate, expected_calibration_error, label_matrix
from train.evaluation.report import Report, WrongItem, compare

__all__ = [
    "KeywordList",
    "LinearTfidf",
    "Report",
    "Scores",
    "WrongItem",
    "best_thresholds",
    "compare",
    "evaluate",
    "expected_calibration_error",
    "label_matrix",
    "predict_baselines",
]
