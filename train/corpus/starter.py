"""The starter corpus: rows that still hold the document they were cut from, so that the raw plan can be printed again.

Every row has, beyond the row contract: `mark` (the number with its separator, as printed), `before` and `after` (lines around the item that
are no items: title, general demands, headings, chrome), `level` and `kind` (of issuer and document), `script` (what the raw document does to
its characters: "", "traditional" or "debris"), and `annotations` (the themes as the author and as the second reader gave them, before
the two were adjudicated into `labels`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
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
READERS = ("author", "reader")
_TAG = re.compile(r"\s*⟦([a-z,]*)⟧\s*$")
_HEAD = ("id", "title", "year", "issuer", "level", "kind")
# Characters that have two simplified or traditional forms, with the reading that a converter of the worst sort prints behind them.
_READINGS = dict(
    pair.split(":")
    for pair in [
        "衛:wèi",
        "醫:yī",
        "療:liáo",
        "發:fā",
        "現:xiàn",
        "經:jīng",
        "聯:lián",
        "應:yīng",
        "數:shù",
        "機:jī",
        "幹:gàn",
        "復:fù",
        "係:xì",
        "務:wù",
        "婦:fù",
        "藥:yào",
        "體:tǐ",
        "點:diǎn",
        "鄉:xiāng",
        "鎮:zhèn",
    ]
)


def raw_text(rows: Sequence[Row]) -> str:
    """The document as it was before it was read: one paragraph a line.

    Args:
        rows: the rows of one plan, in order.
    """
    lines: list[str] = []
    for row in rows:
        lines += [*row["before"], row["mark"] + row["text"] + row["units"], *row["after"]]
    text = "\n".join(lines) + "\n"
    if rows[0]["script"]:
        text = str(_to_traditional().convert(text))
    if rows[0]["script"] == "debris":
        text = re.sub("|".join(_READINGS), lambda m: f"{m.group()}({_READINGS[m.group()]})", text)
    return text


def rows_of_source(source: str, name: str) -> list[Row]:
    """Rows of a plan written with a tag behind every item, `…⟦dc,rf⟧`, under a head of `#! key: value` lines.

    Args:
        source: the tagged document, in simplified script.
        name: of the source, for messages.

    Raises:
        RowError: a head line is missing, a tag is unknown, or the reader cuts the plan otherwise than its tags say.
    """
    head, found, body = source.partition("\n---\n")
    about = dict(re.findall(r"^#! (\w+): *(.*?) *$", head, re.M))
    if not found or not set(_HEAD) <= about.keys():
        raise RowError(f"{name}: expected a head with {', '.join(_HEAD)}, then a line ---")
    tagged = [fold_width(line.strip()) for line in body.splitlines() if line.strip()]
    lines = [_TAG.sub("", line) for line in tagged]
    plan = read_plan([Line(line) for line in lines], name=about["id"])
    wanted = [at for at, line in enumerate(tagged) if _TAG.search(line)]
    got = [at for at, (_, role) in enumerate(plan.lines) if role == "item"]
    if wanted != got or len(plan.items) != len(got):
        at = min(set(wanted) ^ set(got), default=0)
        by_tag = "an item" if at in wanted else "no item"
        raise RowError(f"{name}: line {at + 1} is {by_tag} by its tag, but is read otherwise: {lines[at][:40]}")
    rows = []
    for order, (at, item) in enumerate(zip(got, plan.items, strict=True)):
        before = lines[got[order - 1] + 1 if order else 0 : at]
        after = lines[at + 1 :] if order + 1 == len(got) else []
        rows.append(_row(about, item, lines[at], _labels(tagged[at], name), before, after))
    return rows


def _row(
    about: dict[str, str], item: Item, line: str, labels: list[str], before: list[str], after: list[str]
) -> dict[str, Any]:
    mark = line[: len(line) - len(item.text) - len(item.units)]
    if mark + item.text + item.units != line:
        raise RowError(f"{about['id']} {item.number}: the line is not mark + text + units: {line[:60]}")
    return {
        "plan": about["id"],
        "title": about["title"],
        "year": int(about["year"]),
        "issuer": about["issuer"],
        "number": item.number,
        "path": item.path,
        "text": item.text,
        "units": item.units,
        "labels": labels,
        "mark": mark,
        "before": before,
        "after": after,
        "level": about["level"],
        "kind": about["kind"],
        "script": about.get("script", ""),
        "annotations": {"author": labels, "reader": []},
    }


def _labels(line: str, name: str) -> list[str]:
    tag = _TAG.search(line)
    codes = [c for c in (tag[1] if tag else "").split(",") if c]
    if unknown := [c for c in codes if c not in CODES]:
        raise RowError(f"{name}: unknown tag {', '.join(unknown)}; the tags are {', '.join(CODES)}")
    return [key for code, key in CODES.items() if code in codes]


@cache
def _to_traditional():  # type: ignore[no-untyped-def]  # opencc ships no types
    import opencc

    return opencc.OpenCC("s2t")
