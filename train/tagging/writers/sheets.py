"""A table in an Excel workbook: typed cells, measured columns, and as many sheets as Excel's limits ask for."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from train.tagging.writers.columns import legible

MAX_ROWS = 1_048_576
MAX_CHARACTERS = 32_767  # UTF-16 units in one cell
_CLIPPED = "…(过长,已截断 cut)"
_WIDEST = 72  # in Latin characters: thirty-six Chinese ones, a comfortable line
_ARROW = 4  # room for the filter button beside a heading

Format = Any  # xlsxwriter has no types
Cell = str | int | float | None
Line = list[tuple[Cell, Format]]


class Table:
    """Rows under a frozen heading with filter buttons; a full sheet is followed by another one, `{name} 2`.

    Rows go straight to disk, so memory stays flat; what is known only at the end (widths, columns without use) is set by `close`.

    Attributes:
        clipped: cells that were longer than Excel allows.
    """

    def __init__(self, book: Any, name: str, headings: Sequence[tuple[str, Format]]) -> None:
        self.clipped = 0
        self._book, self._name, self._headings = book, name, headings
        self._sheets: list[Any] = []
        self._used: list[int] = []
        self._widths = [columns_of(text) + _ARROW for text, _ in headings]
        self._open()

    def add(self, cells: Sequence[tuple[Cell, Format]]) -> None:
        """Writes one row; None and "" leave a cell empty."""
        if self._used[-1] == MAX_ROWS:
            self._open()
        at = self._used[-1]
        for column, (value, form) in enumerate(cells):
            if value is None or value == "":
                continue
            if isinstance(value, str):
                self._sheets[-1].write_string(at, column, self._fitting(value), form)
                self._widths[column] = max(self._widths[column], columns_of(value))
            else:
                self._sheets[-1].write_number(at, column, value, form)
        self._used[-1] += 1

    def close(self, hidden: Collection[int] = (), below: int = 0) -> None:
        """Sets widths, filters and the frozen heading; columns in `hidden` are folded away, the last `below` rows are not filtered."""
        for sheet, used in zip(self._sheets, self._used, strict=True):
            for column, width in enumerate(self._widths):
                sheet.set_column(column, column, min(width, _WIDEST), None, {"hidden": column in hidden})
            sheet.freeze_panes(1, 0)
            sheet.autofilter(0, 0, max(used - 1 - below, 1), len(self._headings) - 1)
            sheet.ignore_errors({"number_stored_as_text": f"A1:XFD{MAX_ROWS}"})  # item numbers: no green corners
            sheet.repeat_rows(0)
            sheet.set_landscape()
            sheet.fit_to_pages(1, 0)

    def _open(self) -> None:
        number = len(self._sheets) + 1
        self._sheets.append(self._book.add_worksheet(self._name if number == 1 else f"{self._name} {number}"))
        for column, (text, form) in enumerate(self._headings):
            self._sheets[-1].write_string(0, column, text, form)
        self._used.append(1)

    def _fitting(self, value: str) -> str:
        text = legible(value).replace("\r\n", "\n").replace("\r", "\n")
        if len(text) > MAX_CHARACTERS // 2 and utf16_units(text) > MAX_CHARACTERS:
            self.clipped += 1
            kept = text.encode("utf-16-le")[: 2 * (MAX_CHARACTERS - len(_CLIPPED))]
            text = kept.decode("utf-16-le", "ignore") + _CLIPPED  # "ignore": half a surrogate pair at the cut
        # xlsxwriter takes text in this shape for markup of its own and would write it unescaped.
        return f" {text}" if text.startswith("<r>") and text.endswith("</r>") else text


def columns_of(text: str) -> int:
    """How wide the text's first line is, in Latin characters; exact up to the widest column."""
    line = text[: _WIDEST + 1].split("\n", 1)[0]
    return len(line) + sum(not c.isascii() for c in line)


def utf16_units(text: str) -> int:
    """Length as Excel counts it."""
    return len(text.encode("utf-16-le")) // 2
