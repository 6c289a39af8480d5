"""What simple means reach on the same plans: a list of keywords, and a linear classifier on character n-grams."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from train.errors import MissingExtra
from train.evaluation.metrics import BoolArray, FloatArray, evaluate, label_matrix
from train.rows import Row
from train.taxonomy import Taxonomy

_MAX_WORDS = 30
_GRAM_LENGTHS = (2, 3, 4)
_MIN_POSITIVES = 2  # a word seen in one positive item only is that item's, not the theme's
_RECALL_WEIGHT = (
    0.1  # beta² of F-beta; at 1 (F1) words like 医院 come first: macro F1 .82 instead of .87 (five folds of 39 plans)
)
_N_CANDIDATES = (
    1_000  # tried together, best first; trying all takes 8 s instead of 1 on 2,800 items and changes only late words
)
_RUN_OF_LETTERS = re.compile(r"[^\W\d_]+")

_COSTS = (0.5, 1.0, 2.0, 5.0)
_ONE_PLAN_COST = 1.0  # one plan cannot be cut into folds
_N_FOLDS = 5
_SEED = 0


def predict_baselines(train: Sequence[Row], rows: Sequence[Row], taxonomy: Taxonomy) -> dict[str, BoolArray]:
    """Fits every baseline on the training rows and tags the other rows.

    Returns:
        By name (`keyword_list`, `tfidf_linear`), each of shape (n_items, n_themes).

    Raises:
        MissingExtra: scikit-learn is not installed.
        RowError: training rows that are not annotated or have an unknown theme.
    """
    return {
        "keyword_list": KeywordList.fit(train, taxonomy).predict(rows),
        "tfidf_linear": LinearTfidf.fit(train, taxonomy).predict(rows),
    }


@dataclass(frozen=True, slots=True)
class KeywordList:
    """A theme is given when one of its regular expressions is found in the item's text; headings are not read.

    Attributes:
        patterns: one tuple of regular expressions per theme, in column order.
    """

    patterns: tuple[tuple[str, ...], ...]

    @classmethod
    def fit(cls, rows: Sequence[Row], taxonomy: Taxonomy) -> Self:
        """Takes the taxonomy's keywords as they are, and mines words from the rows for themes that have none.

        Mining is greedy: of the character 2- to 4-grams seen in at least two positive items, the one that adds most to the list's
        F-beta on the rows is taken, with a beta that prefers precision since every further word can only add recall; up to 30 words
        or until none adds. A theme without positives gets no words.

        Raises:
            RowError: a theme has no keywords, and rows are not annotated or have an unknown theme.
        """
        if all(theme.keywords for theme in taxonomy.themes):
            return cls(tuple(theme.keywords for theme in taxonomy.themes))
        gold, index = label_matrix(rows, taxonomy.keys), _gram_index(rows)
        return cls(
            tuple(theme.keywords or tuple(_mine(gold[:, at], index)) for at, theme in enumerate(taxonomy.themes))
        )

    def predict(self, rows: Sequence[Row]) -> BoolArray:
        """Themes of the rows; shape (n_items, n_themes)."""
        themes = [[re.compile(pattern) for pattern in patterns] for patterns in self.patterns]
        found = [[any(p.search(row["text"]) for p in theme) for theme in themes] for row in rows]
        return np.array(found, dtype=np.bool_).reshape(len(rows), len(themes))


@dataclass(frozen=True, slots=True)
class LinearTfidf:
    """One linear support vector machine per theme over TF-IDF of the characters of text and headings.

    The strongest of the cheap methods for Chinese text of this length: no words need be cut, and it trains in seconds.

    Attributes:
        cost: the SVM's C.
        constant: per theme, the answer where all training rows agree, None where it was learned.
        pipeline: scikit-learn's vectoriser and classifiers of the learned themes; None if there are none.
    """

    cost: float
    constant: tuple[bool | None, ...]
    pipeline: Any

    @classmethod
    def fit(cls, rows: Sequence[Row], taxonomy: Taxonomy, cost: float | None = None) -> Self:
        """Learns from annotated rows.

        Args:
            rows: annotated.
            taxonomy: the themes.
            cost: the SVM's C; None for the one with the best macro F1 over five folds of whole plans, which takes twenty times as long.

        Raises:
            MissingExtra: scikit-learn is not installed.
            RowError: rows that are not annotated or have an unknown theme.
        """
        _require_sklearn()
        gold = label_matrix(rows, taxonomy.keys)
        constant = tuple(None if column.any() and not column.all() else bool(column.any()) for column in gold.T)
        learned = [at for at, answer in enumerate(constant) if answer is None]
        if not learned:
            return cls(_ONE_PLAN_COST, constant, None)
        texts, target = [_document(row) for row in rows], gold[:, learned]
        cost = cost or _best_cost(texts, target, [str(row["plan"]) for row in rows])
        return cls(cost, constant, _pipeline(cost, len(rows)).fit(texts, target.astype(int)))

    def predict(self, rows: Sequence[Row]) -> BoolArray:
        """Themes of the rows, where the SVM's decision is above 0; shape (n_items, n_themes)."""
        return self.decide(rows) > 0

    def decide(self, rows: Sequence[Row]) -> FloatArray:
        """The SVM's decisions, ±1 at its margins, and ±1 for a theme that all training rows agree on; shape (n_items, n_themes)."""
        decided = np.tile(np.array([1.0 if answer else -1.0 for answer in self.constant]), (len(rows), 1))
        learned = [at for at, answer in enumerate(self.constant) if answer is None]
        if learned and rows:
            decision = self.pipeline.decision_function([_document(row) for row in rows])
            decided[:, learned] = decision.reshape(len(rows), len(learned))
        return decided


def _gram_index(rows: Sequence[Row]) -> dict[str, list[int]]:
    """The rows in which each n-gram of letters stands; digits and punctuation part n-grams."""
    index = defaultdict[str, list[int]](list)
    for at, row in enumerate(rows):
        grams = {
            run[start : start + length]
            for run in _RUN_OF_LETTERS.findall(row["text"])
            for length in _GRAM_LENGTHS
            for start in range(len(run) - length + 1)
        }
        for gram in grams:
            index[gram].append(at)
    return index


def _mine(gold: BoolArray, index: dict[str, list[int]]) -> list[str]:
    """Words whose list has the best F-beta, in the order in which they were taken."""
    ranked, n_missable = [], _RECALL_WEIGHT * float(gold.sum())
    for gram, at in index.items():
        n_right = int(gold[at].sum())
        if n_right >= _MIN_POSITIVES:
            ranked.append((-n_right / (len(at) + n_missable), gram))
    candidates = [gram for _, gram in sorted(ranked)[:_N_CANDIDATES]]
    hits = np.zeros((len(candidates), len(gold)), dtype=np.bool_)
    for number, gram in enumerate(candidates):
        hits[number, index[gram]] = True
    words, tagged, best = list[str](), np.zeros_like(gold), 0.0
    while candidates and len(words) < _MAX_WORDS:
        together = hits | tagged
        f_beta = (together & gold).sum(axis=1) / (together.sum(axis=1) + n_missable)  # but for the factor 1 + beta²
        chosen = int(f_beta.argmax())
        if f_beta[chosen] <= best:
            break
        best, tagged = float(f_beta[chosen]), together[chosen]
        words.append(candidates[chosen])
    return words


def _document(row: Row) -> str:
    return "\n".join([row["text"], " ".join(row.get("path") or ())])


def _require_sklearn() -> None:
    try:
        import sklearn  # noqa: F401
    except ImportError:
        raise MissingExtra("evaluate's baselines", "evaluate") from None


def _vectoriser(n_rows: int) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(
        analyzer="char", ngram_range=(1, 3), sublinear_tf=True, min_df=min(2, n_rows), dtype=np.float32
    )


def _classifier(cost: float) -> Any:
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.svm import LinearSVC

    return OneVsRestClassifier(LinearSVC(C=cost, random_state=_SEED, max_iter=10_000))


def _pipeline(cost: float, n_rows: int) -> Any:
    from sklearn.pipeline import Pipeline

    return Pipeline([("tfidf", _vectoriser(n_rows)), ("svm", _classifier(cost))])


def _best_cost(texts: list[str], gold: BoolArray, plans: list[str]) -> float:
    """The C with the best macro F1 over folds of whole plans; the smallest of equals, since it fits the training rows least."""
    from sklearn.model_selection import GroupKFold

    n_plans = len(set(plans))
    if n_plans < 2:
        return _ONE_PLAN_COST
    predicted = {cost: np.zeros_like(gold) for cost in _COSTS}
    for inner, outer in GroupKFold(min(_N_FOLDS, n_plans)).split(texts, groups=plans):
        mixed = np.flatnonzero(gold[inner].any(axis=0) & ~gold[inner].all(axis=0))
        if not mixed.size:
            continue
        vectoriser = _vectoriser(len(inner))
        seen = vectoriser.fit_transform([texts[at] for at in inner])
        unseen = vectoriser.transform([texts[at] for at in outer])
        for cost, tagged in predicted.items():
            svm = _classifier(cost).fit(seen, gold[np.ix_(inner, mixed)].astype(int))
            tagged[np.ix_(outer, mixed)] = svm.decision_function(unseen).reshape(len(outer), -1) > 0
    keys = [str(at) for at in range(gold.shape[1])]
    return max(_COSTS, key=lambda cost: evaluate(gold, predicted[cost], plans, keys).macro_f1)
