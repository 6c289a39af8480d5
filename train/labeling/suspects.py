"""Annotations that out-of-fold scores contradict: the first to read again when wrong ones are looked for."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from train.corpus.doubts import doubts
from train.errors import BundleError, LabelStudioError
from train.labeling.annotations import Reading, ReadItem
from train.rows import Row, content_id
from train.tagging.bundle import OUT_OF_FOLD, Bundle

Scores = dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class Suspect:
    """One theme of one item of which the annotation and a model that had not seen the item say different things.

    Attributes:
        item: with what was said about it.
        theme: its key.
        labelled: whether the annotation has it.
        score: the model's probability of the theme, [0, 1].
        annotators: who annotated so; empty for rows that do not tell.
    """

    item: ReadItem
    theme: str
    labelled: bool
    score: float
    annotators: tuple[str, ...]

    @property
    def said(self) -> str:
        """The annotation in short: +theme where it has the theme, -theme where not."""
        return f"{'+' if self.labelled else '-'}{self.theme}"

    def row(self) -> Row:
        """The item's row with what is suspected of it."""
        found = {"theme": self.theme, "labelled": self.labelled, "score": self.score, "tasks": self.item.tasks}
        return self.item.row | {"suspect": found | {"annotators": list(self.annotators)}}


@dataclass(slots=True)
class Suspected:
    """Suspects, the most doubtful first.

    Attributes:
        n_annotated, n_scored: annotated items, and those of them that have out-of-fold scores.
    """

    suspects: list[Suspect] = field(default_factory=list)
    n_annotated: int = 0
    n_scored: int = 0


def out_of_fold(bundle: Bundle) -> Scores:
    """Out-of-fold scores of the items a bundle was trained on: {content id: scores in taxonomy order}.

    Raises:
        BundleError: the bundle has none, or they do not say of which items they are.
    """
    path = bundle.folder / OUT_OF_FOLD
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        if not lines:
            raise FileNotFoundError
        return {line["item"]: [float(line["scores"][k]) for k in bundle.taxonomy.keys] for line in lines}
    except FileNotFoundError:
        raise BundleError(f"{bundle.folder}: has no out-of-fold scores; train with data.n_folds=2 or more") from None
    except (OSError, ValueError, KeyError, TypeError):
        raise BundleError(
            f"{path}: does not say which items its scores are of, or is damaged; train again with this version"
        ) from None


def find_suspects(items: Iterable[ReadItem], bundle: Bundle, limit: int) -> Suspected:
    """Annotations on the other side of the threshold than the out-of-fold score, those with the least self-confidence first.

    Args:
        items: what was annotated; answers that cannot be taken are passed over.
        bundle: trained on at least some of the items, in this or an earlier annotation.
        limit: how many to return.

    Raises:
        BundleError: no out-of-fold scores.
        LabelStudioError: none of them is of an item that is annotated.
    """
    scores, found = out_of_fold(bundle), Suspected()
    known = list[ReadItem]()
    for item in items:
        if item.readings and not item.faults:
            found.n_annotated += 1
            if content_id(item.row) in scores:
                known.append(item)
    found.n_scored = len(known)
    if not known:
        raise LabelStudioError(
            f"{bundle.folder}: was trained on none of the {found.n_annotated} annotated items; pull them, type "
            "python -m train data.path=labels.jsonl, and give that run, --model models/runs/…"
        )
    said = [(item, labels) for item in known for labels in sorted({r.labels for r in item.readings.values()})]
    rows = [item.row | {"labels": list(labels)} for item, labels in said]
    matrix = np.array([scores[content_id(row)] for row in rows])
    cuts = dict(zip(bundle.taxonomy.keys, bundle.thresholds, strict=True))
    told = set[tuple[int, str, bool]]()
    for doubt in doubts(rows, matrix, bundle.taxonomy, matrix.size):
        item = said[doubt.at][0]
        same = (id(item), doubt.theme, doubt.labelled)
        if len(found.suspects) == limit:
            break
        if (doubt.score >= cuts[doubt.theme]) != doubt.labelled and same not in told:
            told.add(same)
            found.suspects.append(
                Suspect(item, doubt.theme, doubt.labelled, doubt.score, _so(item, doubt.theme, doubt.labelled))
            )
    return found


def _so(item: ReadItem, theme: str, labelled: bool) -> tuple[str, ...]:
    return tuple(who for who, reading in sorted(item.readings.items()) if who and (theme in reading.labels) == labelled)


def items_of_rows(rows: Iterable[Row]) -> list[ReadItem]:
    """Annotated rows as items; rows of one item, as `pull --merge all` writes them, are answers of several annotators."""
    items: dict[str, ReadItem] = {}
    for row in rows:
        item = items.setdefault(content_id(row), ReadItem([], row))
        who = str(row.get("annotator") or "")
        item.readings[who] = Reading(who, tuple(row["labels"]), "", "")
    return list(items.values())
