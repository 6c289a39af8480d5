"""Item rows as Label Studio tasks, and back: nothing of a row is lost but what annotators said of it, whatever characters it holds.

A task's `data`:

    item                 the stable id of the item: the same item pushed again has the same id
    row                  the whole row as JSON in ASCII: PostgreSQL refuses NUL and half characters inside JSON, ASCII escapes pass
    plan, position       the plan and the place of the item in it, from 1
    title, path, number, text, units, before, after     what annotators see
"""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from train.rows import Row, content_id
from train.taxonomy import NONE, Taxonomy

Json = dict[str, Any]
CHOICES, ITEM = "themes", "item"  # the names of the control and of the object in the interface
_NEIGHBOUR = 160  # characters shown of an item before or after
_UNSEEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_SAID = (
    "annotator",
    "comment",
    "comments",
)  # what `pull` wrote of an earlier round; it would come back as said in this one
_GAP = " "  # Label Studio takes an empty value for a missing one


@dataclass(frozen=True, slots=True)
class Task:
    """An item on its way to the server.

    Attributes:
        item: the stable id.
        row: the item row.
        data: what the server stores.
    """

    item: str
    row: Row
    data: Json


class TaskMaker:
    """Makes tasks of plans that come one after another; it counts items, so that one which a plan holds twice has two ids."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()
        self._places: Counter[str] = Counter()

    def tasks(self, rows: Sequence[Row]) -> Iterator[Task]:
        """Tasks of the rows of one plan.

        Args:
            rows: in reading order, so that neighbours are known.
        """
        for at, row in enumerate(rows):
            before = rows[at - 1] if at else None
            after = rows[at + 1] if at + 1 < len(rows) else None
            yield self._task(row, before, after)

    def _task(self, row: Row, before: Row | None, after: Row | None) -> Task:
        row = {key: value for key, value in row.items() if key not in _SAID}
        base = content_id(row)
        self._seen[base] += 1
        item = base if self._seen[base] == 1 else f"{base}-{self._seen[base]}"
        plan = str(row["plan"])
        self._places[plan] += 1
        data = {
            "item": item,
            "plan": visible(plan),
            "position": self._places[plan],
            "title": visible(row.get("title") or plan),
            "path": visible(" › ".join(row.get("path") or [])),
            "number": visible(row.get("number") or ""),
            "text": visible(row["text"]),
            "units": visible(row.get("units") or ""),
            "before": _neighbour(before),
            "after": _neighbour(after),
            "row": json.dumps(row),
        }
        return Task(item, row, data)


def row_of(data: Json) -> Row | None:
    """The row inside a task's data; None for a task that was not pushed by us."""
    try:
        row = json.loads(data["row"])
    except (KeyError, TypeError, ValueError):
        return None
    return row if isinstance(row, dict) and "text" in row and "plan" in row else None


def by_plan(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Rows that follow one another and are of one plan, together."""
    for _, group in itertools.groupby(rows, key=lambda row: row["plan"]):
        yield list(group)


def visible(text: object) -> str:
    """Text as a database and a browser take it; never empty."""
    return _UNSEEN.sub("\ufffd", str(text)) or _GAP


def _neighbour(row: Row | None) -> str:
    if row is None:
        return _GAP
    text = f"{row.get('number') or ''} {row['text']}".strip()
    return visible(text if len(text) <= _NEIGHBOUR else text[:_NEIGHBOUR] + "…")


def prediction(tagged: Row, taxonomy: Taxonomy, version: str) -> Json:
    """A pre-label: the themes above their thresholds, with the scores of all themes.

    Its own score is the probability of the least certain of its answers, so that sorting by it shows doubtful items first.

    Args:
        tagged: with `labels` and `scores`.
        taxonomy: of the bundle.
        version: of the bundle.
    """
    labels, scores = tagged["labels"], tagged["scores"]
    sure = min(scores[k] if k in labels else 1 - scores[k] for k in taxonomy.keys)
    result = choice_result(labels, taxonomy) | {"score": round(sure, 6), "meta": {"scores": scores}}
    return {"model_version": version, "score": round(sure, 6), "result": [result]}


def choice_result(labels: Sequence[str], taxonomy: Taxonomy) -> Json:
    """An answer as Label Studio stores it; no theme is the choice `none`."""
    return {
        "id": "themes",
        "from_name": CHOICES,
        "to_name": ITEM,
        "type": "choices",
        "value": {"choices": taxonomy.ordered(labels) or [NONE]},
    }
