"""Which items to label next: those whose answers the model is unsure of, most of them for the themes with the fewest examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from train.corpus.near_duplicates import Seen
from train.evaluation.metrics import FloatArray
from train.labeling.annotations import ReadItem
from train.rows import Row, content_id
from train.tagging import Tagger

STRATEGIES = ("balanced", "uncertain", "random")
_LEAST = 1e-6  # scores are told with six digits


@dataclass(frozen=True, slots=True)
class Pick:
    """An item to label.

    Attributes:
        at: its index among the candidates.
        theme: column of the theme it was taken for; None where it was taken for none in particular.
    """

    at: int
    theme: int | None


@dataclass(slots=True)
class Pool:
    """What there is to choose from, and what is labelled.

    Attributes:
        rows: without labels.
        tasks: of each of them; empty where they are on no server.
        seen: texts that are labelled, skipped or being labelled.
        n_positive: labelled items by theme.
    """

    rows: list[Row] = field(default_factory=list)
    tasks: list[list[int]] = field(default_factory=list)
    seen: Seen = field(default_factory=Seen)
    n_positive: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of_items(cls, items: Iterable[ReadItem]) -> Self:
        """Items of a project; a theme counts where any annotator gave it."""
        pool = cls()
        for item in items:
            if not (item.readings or item.faults or item.n_cancelled or item.n_drafts):
                pool.rows.append(item.row)
                pool.tasks.append(item.tasks)
                continue
            pool.seen.add(item.row["text"])
            pool.n_positive.update({label for reading in item.readings.values() for label in reading.labels})
        return pool

    @classmethod
    def of_rows(cls, rows: Iterable[Row], labelled: Iterable[Row]) -> Self:
        """Rows but for the labelled ones, which are known by plan, headings, number and text."""
        pool, known = cls(), set[str]()
        for row in labelled:
            known.add(content_id(row))
            pool.seen.add(row["text"])
            pool.n_positive.update(row["labels"])
        pool.rows = [row for row in rows if content_id(row) not in known]
        pool.tasks = [[] for _ in pool.rows]
        return pool

    def choose(self, tagger: Tagger, n: int, strategy: str, seed: int) -> list[tuple[int, str]]:
        """Places in `rows`, the one to label first at the head, and the theme each was taken for or "".

        Args:
            tagger: scores the rows.
            n, strategy, seed: as for `select`.
        """
        keys = tagger.bundle.taxonomy.keys
        scores = np.zeros((len(self.rows), len(keys)))
        if strategy != "random":
            scores[:] = [[row["scores"][k] for k in keys] for row in tagger.tag_rows(self.rows)]
        texts, positive = [row["text"] for row in self.rows], [self.n_positive[k] for k in keys]
        margin = margins(scores, tagger.bundle.thresholds)
        picks = select(texts, margin, positive, self.seen, n, strategy, seed)
        return [(pick.at, "" if pick.theme is None else keys[pick.theme]) for pick in picks]


def margins(scores: FloatArray, thresholds: Sequence[float]) -> FloatArray:
    """How far scores lie above their thresholds, in logits, so that themes with other thresholds can be compared.

    Args:
        scores: shape (n_items, n_themes), in [0, 1].
        thresholds: one for each theme.
    """
    return _logit(scores) - _logit(np.array(thresholds))


def _logit(p: FloatArray) -> FloatArray:
    inside = np.clip(p, _LEAST, 1 - _LEAST)
    return np.asarray(np.log(inside / (1 - inside)), dtype=np.float64)


def select(
    texts: Sequence[str], margin: FloatArray, n_positive: Sequence[int], seen: Seen, n: int, strategy: str, seed: int
) -> list[Pick]:
    """Chooses items, the one to label first at the head; fewer than asked for where all others nearly repeat what is labelled or chosen.

    Args:
        texts: of the candidates.
        margin: shape (n_candidates, n_themes), above 0 where the model gives the theme.
        n_positive: labelled items of each theme.
        seen: the labelled texts; the chosen ones are added.
        n: how many.
        strategy: "balanced" takes themes in turn, each in inverse proportion to its labelled items, and for a theme the item with its smallest
            margin; "uncertain" takes the item with the smallest margin of any theme; "random" asks no model.
        seed: decides among equals.

    Example:
        >>> picks = select(["甲乙丙丁", "戊己庚辛", "子丑寅卯"], np.array([[2.0, -1], [-3, 0.5], [1, 4]]), [0, 3], Seen(), 2, "balanced", 0)
        >>> [(pick.at, pick.theme) for pick in picks]  # the first theme has four times the share of the second
        [(2, 0), (0, 0)]
    """
    order = np.random.default_rng(seed).permutation(len(texts))
    if strategy == "balanced":
        keys = [np.abs(column) for column in margin.T]
        weights = 1 / (np.asarray(n_positive, dtype=np.float64) + 1)
    else:
        keys = [np.abs(margin).min(axis=1) if strategy == "uncertain" else np.zeros(len(texts))]
        weights = np.ones(1)
    queues = [iter(order[np.argsort(key[order], kind="stable")].tolist()) for key in keys]
    fresh, picks = _Fresh(texts, seen), list[Pick]()
    n_taken = np.zeros(len(queues))
    while len(picks) < n and weights.any():
        owed = np.where(weights > 0, weights / weights.sum() * (n_taken.sum() + 1) - n_taken, -np.inf)
        turn = int(owed.argmax())
        at = fresh.first(queues[turn])
        if at is None:
            weights[turn] = 0
            continue
        n_taken[turn] += 1
        picks.append(Pick(at, turn if strategy == "balanced" else None))
    return picks


class _Fresh:
    """Takes each candidate once, and none that nearly repeats a text seen before."""

    def __init__(self, texts: Sequence[str], seen: Seen) -> None:
        self._texts, self._seen = texts, seen
        self._passed = set[int]()

    def first(self, queue: Iterator[int]) -> int | None:
        for at in queue:
            if at in self._passed:
                continue
            self._passed.add(at)
            if not self._seen.holds(self._texts[at]):
                self._seen.add(self._texts[at])
                return at
        return None
