"""CSV that Excel opens with a double click: UTF-8 with a byte order mark, CRLF, quoted as RFC 4180 asks.

Columns: `plan title year issuer number path text units labels`, one column per theme holding 1 or nothing, one `score_{key}` per theme,
and `extra`, a JSON object of all other keys of the row. `path` is joined by ` > `, `labels` by `;`.

Excel takes a cell that begins with = + - @ (or their full-width forms) for a formula and would run it. Such a cell, also behind blanks, and one
that begins with a tab or a line end, gets a leading apostrophe. It stays there for other readers too: read .jsonl or .parquet where the
exact text matters.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from typing import Any, BinaryIO

from train.rows import Row
from train.tagging.writers.columns import LABEL_JOINT, PATH_JOINT, TEXT_COLUMNS, extra_of, legible, scores_of, year_of
from train.taxonomy import Taxonomy

_FORMULA = re.compile(r"\s*[=+\-@＝＋－＠]|[\t\r\n]")


class Delimited:
    """Comma-separated values; inputs that failed are not part of the data and are left out."""

    def __init__(self, out: BinaryIO, taxonomy: Taxonomy | None, title: str) -> None:
        self._out, self._taxonomy = out, taxonomy
        keys = taxonomy.keys if taxonomy else []
        out.write(b"\xef\xbb\xbf")
        self._lines([[*TEXT_COLUMNS, *keys, *(f"score_{key}" for key in keys), "extra"]])

    def add(self, rows: Sequence[Row]) -> None:
        """Writes rows."""
        self._lines([self._cells(row) for row in rows])

    def finish(self, failures: Sequence[tuple[str, str]]) -> None:
        """Nothing follows the last row."""

    def abandon(self) -> None:
        """Holds nothing."""

    def _cells(self, row: Row) -> list[str]:
        labels = row.get("labels") or []
        year = year_of(row)
        cells = [inert(row.get(name)) for name in TEXT_COLUMNS]
        cells[TEXT_COLUMNS.index("year")] = "" if year is None else str(year)
        cells[TEXT_COLUMNS.index("path")] = inert(PATH_JOINT.join(row.get("path") or []))
        cells[TEXT_COLUMNS.index("labels")] = inert(LABEL_JOINT.join(labels))
        if self._taxonomy:
            cells += ["1" if key in labels else "" for key in self._taxonomy.keys]
            cells += ["" if score is None else f"{score:.3f}" for score in scores_of(row, self._taxonomy)]
        return [*cells, inert(extra_of(row, self._taxonomy))]

    def _lines(self, lines: list[list[str]]) -> None:
        buffer = io.StringIO(newline="")
        csv.writer(buffer, lineterminator="\r\n").writerows(lines)
        self._out.write(buffer.getvalue().encode())


def inert(value: Any) -> str:
    """A cell that Excel shows and never runs."""
    text = legible(value)
    return "'" + text if _FORMULA.match(text) else text
