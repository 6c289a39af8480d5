"""What the tabular formats share: how a value of a row becomes a cell."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from train.rows import COLUMNS, Row
from train.taxonomy import Taxonomy

PATH_JOINT = " > "
LABEL_JOINT = ";"
TEXT_COLUMNS = tuple(name for name in COLUMNS if name != "scores")
_INT32 = range(-(2**31), 2**31)
# XML 1.0, and with it .xlsx, has no way to hold these.
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def legible(value: Any) -> str:
    """Text without control characters; a half of a surrogate pair, which UTF-8 cannot hold, becomes �; None is ""."""
    return _SURROGATE.sub("\ufffd", _UNWRITABLE.sub("", encodable(value)))


def encodable(value: Any) -> str:
    """Text that UTF-8 can hold; None is ""."""
    text = "" if value is None else str(value)
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def year_of(row: Row) -> int | None:
    """The year as a number, None if there is none or it is something else (which `extra_of` then keeps)."""
    try:
        year = int(row.get("year") or 0)
    except (TypeError, ValueError):
        return None
    return year if year and year in _INT32 else None


def scores_of(row: Row, taxonomy: Taxonomy) -> list[float | None]:
    """Scores in taxonomy order, each in [0, 1]; None where there is none."""
    scores = row.get("scores") or {}
    return [_number(scores.get(key)) for key in taxonomy.keys]


def extra_of(row: Row, taxonomy: Taxonomy | None) -> str:
    """All that has no column of its own, as a JSON object; "" if nothing is left over."""
    extra = {key: value for key, value in row.items() if key not in COLUMNS}
    if row.get("year") and year_of(row) is None:
        extra["year"] = row["year"]
    known = taxonomy.keys if taxonomy else []
    if other := {key: value for key, value in (row.get("scores") or {}).items() if key not in known}:
        extra["scores"] = other
    return json.dumps(extra, ensure_ascii=False, default=str) if extra else ""


def _number(value: Any) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None
