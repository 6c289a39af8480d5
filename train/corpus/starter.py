"""The starter corpus: rows that still hold the document they were cut from, so that the raw plan can be printed again.

Beyond the row contract a row has `mark` (the number with its separator, as printed), `before` (lines between the last item and this
one: title, general demands, headings, chrome), on the last row `after`, on the first `about` (level, kind, numbering, debris), and
`annotations` (the labels of the author and of the second reader, before they were adjudicated).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from train.errors import RowError
from train.plans.lines import Line
from train.plans.plan import Item, read_plan
from train.plans.repair import fold_width
from train.rows import Row

CODES = {
    "dc": "disease_control",
    "mc": "maternal_child",
    "ec": "elder_care",
    "tcm": "tcm",
    "pb": "party_building",
    "rf": "reform",
}
_TAG = re.compile(r"\s*⟦([a-z,]*)⟧\s*$")
_ABOUT = ("level", "kind", "numbering", "debris")


def raw_text(rows: Sequence[Row]) -> str:
    """The document as it was before it was read: one paragraph a line.

    Args:
        rows: the rows of one plan, in order.
    """
    lines: list[str] = []
    for row in rows:
        lines += row.get("before", [])
        lines.append(row["mark"] + row["text"] + row["units"])
        lines += row.get("after", [])
    return "\n".join(lines) + "\n"


def rows_of_source(source: str, name: str) -> list[Row]:
    """Rows of a plan written with a tag behind every item, `…⟦dc,rf⟧`, under a head of `#! key: value` lines.

    Args:
        source: the tagged document.
        name: of the source, for messages.

    Raises:
        RowError: a head line is missing, a tag is unknown, or the reader cuts the plan otherwise than its tags say.
    """
    head, found, body = source.partition("\n---\n")
    about = dict(re.findall(r"^#! (\w+): *(.*?) *$", head, re.M))
    if not found or not {"id", "title", "year", "issuer"} <= about.keys():
        raise RowError(f"{name}: expected a head with id, title, year and issuer, then a line ---")
    tagged = [fold_width(line.strip()) for line in body.splitlines() if line.strip()]
    lines = [_TAG.sub("", line) for line in tagged]
    plan = read_plan([Line(line) for line in lines], name=about["id"])
    wanted = [at for at, line in enumerate(tagged) if _TAG.search(line)]
    got = [at for at, (_, role) in enumerate(plan.lines) if role == "item"]
    if wanted != got or len(plan.items) != len(got):
        at = min(set(wanted) ^ set(got), default=0)
        raise RowError(
            f"{name}: line {at + 1} is {'an item' if at in wanted else 'no item'} by its tag, but is read otherwise: {lines[at][:40]}"
        )
    rows = []
    for order, (at, item) in enumerate(zip(got, plan.items, strict=True)):
        start = got[order - 1] + 1 if order else 0
        row = _row(about, item, lines[at], _labels(tagged[at], name)) | (
            {"before": lines[start:at]} if at > start else {}
        )
        rows.append(row)
    rows[0]["about"] = {k: about.get(k, "") for k in _ABOUT}
    if got[-1] + 1 < len(lines):
        rows[-1]["after"] = lines[got[-1] + 1 :]
    return rows


def _row(about: dict[str, str], item: Item, line: str, labels: list[str]) -> dict[str, Any]:
    mark = line[: len(line) - len(item.text) - len(item.units)]
    if mark + item.text + item.units != line:
        raise RowError(f"{about['id']} {item.number}: the line is not mark + text + units: {line[:60]}")
    return {
        "plan": about["id"], "title": about["title"], "year": int(about["year"]), "issuer": about["issuer"],
        "number": item.number, "path": item.path, "text": item.text, "units": item.units, "labels": labels, "mark": mark,
    }  # fmt: skip


def _labels(line: str, name: str) -> list[str]:
    tag = _TAG.search(line)
    codes = [c for c in (tag[1] if tag else "").split(",") if c]
    if unknown := [c for c in codes if c not in CODES]:
        raise RowError(f"{name}: unknown tag {', '.join(unknown)}; the tags are {', '.join(CODES)}")
    return [key for code, key in CODES.items() if code in codes]
