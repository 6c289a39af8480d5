"""`Tagger`: themes for plans, files or texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from train.plans.plan import Plan, read_plan
from train.rows import Row
from train.tagging.bundle import Bundle
from train.tagging.runtime import Runtime


class Tagger:
    """Tags items with a bundle.

    Example:
        >>> tagger = Tagger.load()
        >>> rows = tagger.tag(["开展儿童青少年近视防控,建立屈光发育档案。"])
        >>> rows[0]["labels"], rows[0]["scores"]["tcm"]
    """

    def __init__(self, bundle: Bundle, n_threads: int | None = None) -> None:
        self.bundle = bundle
        self._runtime = Runtime(bundle, n_threads)

    @classmethod
    def load(cls, path: str | Path | None = None, n_threads: int | None = None) -> Tagger:
        """Loads a bundle; the shipped one by default.

        Args:
            path: of the bundle.
            n_threads: that it computes with; None for a thread a core.

        Raises:
            BundleError: it is missing, incomplete or altered.
        """
        return cls(Bundle.open(path), n_threads)

    def tag(self, source: Plan | str | Path | Sequence[str]) -> list[Row]:
        """Tags a plan, a file or plain texts.

        Args:
            source: a `Plan`, the path of a document, or a list of texts, each taken as one item without headings.

        Returns:
            Item rows with `labels` (theme keys in taxonomy order, possibly none) and `scores` ({key: probability in [0, 1]}).

        Raises:
            InputError: a file that cannot be read.
        """
        if isinstance(source, (str, Path)):
            source = read_plan(source)
        if isinstance(source, Plan):
            return self.tag_rows(source.rows())
        return self.tag_rows([{"plan": "", "number": "", "path": [], "text": t, "units": ""} for t in source])

    def tag_rows(self, rows: Sequence[Row], done: Callable[[int], None] | None = None) -> list[Row]:
        """Tags item rows: each comes back with fresh `labels` and `scores`, its other keys kept.

        Args:
            rows: with `text` and, where known, `path`.
            done: told how many items were finished since it was last told.
        """
        if not rows:
            return []
        keys, cuts = self.bundle.taxonomy.keys, self.bundle.thresholds
        tagged = []
        for row, scores in zip(rows, self._runtime.scores(rows, done), strict=True):
            labels = [k for k, s, cut in zip(keys, scores, cuts, strict=True) if s >= cut]
            tagged.append(
                row | {"labels": labels, "scores": {k: round(float(s), 6) for k, s in zip(keys, scores, strict=True)}}
            )
        return tagged
