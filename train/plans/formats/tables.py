"""Tables: a plan printed as a table becomes one line per row; any other table is read cell by cell."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from train.plans.formats.paragraphs import HEADING_CHARS, clean, marker, split_lines
from train.plans.formats.table_header import Header, find_header
from train.plans.lines import Line

_LONG_CELL = 60  # characters: above it a cell holds a paragraph, not a label or a value
_SHORT_BRACKET = 40  # what may follow a text in brackets when no header says what it is
_CATEGORY_LEVEL = 2  # heading level of a category column; what stands above the table is level 1
_MAX_GRID = 4_000_000  # places of a grid; a broken page can ask for a row of a million cells
_ENDS = "。；;：:！!？?，,、"
_OPENS_NUMBER = re.compile(r"[(（]?\d{1,3}[)）]?|[(（]?[一二三四五六七八九十百]{1,5}[)）]?")


class Repeat(str):
    """The value of a merged cell, at the further places of the grid that the cell covers."""

    __slots__ = ()


def table_lines(cells: Sequence[Sequence[str]]) -> list[Line]:
    """The lines of one table; no text is lost, merged cells are said once.

    Args:
        cells: rows of cell texts. A line feed ends a paragraph inside a cell. A merged cell repeats its value, as `Repeat`
            where the format tells.
    """
    width = max((len(row) for row in cells), default=0)
    if width < 2 or width * len(cells) > _MAX_GRID:
        return [
            Line(line) for row in cells for cell in row if not isinstance(cell, Repeat) for line in split_lines(cell)
        ]
    grid = [[*row, *[""] * (width - len(row))] for row in cells]
    found = find_header(grid)
    if found is None:
        return _plain(grid)
    above, header, start = found
    return _plain(grid[:above]) + _Rows(header, grid[start:]).lines()


def _plain(grid: Sequence[Sequence[str]]) -> list[Line]:
    """A table without a header that is known: numbered rows, labels with values, or a layout."""
    lines: list[Line] = []
    for row in grid:
        cells = [cell for cell in row if clean(cell) and not isinstance(cell, Repeat)]
        pieces = [split_lines(cell) for cell in cells]
        if (
            len(cells) >= 2
            and _OPENS_NUMBER.fullmatch(clean(cells[0]))
            and max(map(len, cells[1:])) >= _SHORT_BRACKET / 2
        ):
            lines.append(Line(_numbered(pieces)))
        elif any(len(cell) > _LONG_CELL for cell in cells):
            lines += [Line(line) for piece in pieces for line in piece]
        elif cells:
            lines.append(Line(" ".join(line for piece in pieces for line in piece)))
    return lines


def _numbered(pieces: Sequence[Sequence[str]]) -> str:
    """`3`, `推进…`, `妇幼科` → `3.推进…(妇幼科)`: the longest cell is the text, short ones after it its bracket."""
    texts = [_sentences(piece) for piece in pieces[1:]]
    longest = max(range(len(texts)), key=lambda i: len(texts[i]))
    after = texts[longest + 1 :]
    if any(len(text) > _SHORT_BRACKET for text in after):
        longest, after = len(texts) - 1, []
    bracket = f"({';'.join(after)})" if after else ""
    return _prefixed(pieces[0][0], _sentences(texts[: longest + 1])) + bracket


@dataclass
class _Rows:
    """The rows below a header that is known."""

    header: Header
    rows: list[list[str]]

    def __post_init__(self) -> None:
        self._categories = self._category_columns()
        self._said: dict[int, str] = {}  # column → the value that its last heading or leading text had
        self._number = ""
        self._lines: list[Line] = []

    def lines(self) -> list[Line]:
        for row in self.rows:
            if self.header.repeated_by(row):
                continue
            if (whole := _one_value(row)) is not None:
                self._whole_row(whole)
            else:
                self._row(row)
        return self._lines

    def _category_columns(self) -> list[int]:
        """The category columns, and text columns whose merged cells span several rows of different numbers."""
        header = self.header
        found = list(header.categories)
        whole = [_one_value(row) is not None for row in self.rows]
        for column in header.texts[:-1]:
            runs = [
                above[column] == below[column]
                and (header.number is None or above[header.number] != below[header.number])
                for at, (above, below) in enumerate(pairwise(self.rows), 1)
                if not whole[at] and clean(below[column])
            ]
            if any(runs):
                found.append(column)
        return sorted(found)

    def _whole_row(self, value: str) -> None:
        """A row that is one cell across the table: a section of it."""
        self._said.clear()
        for text in split_lines(value):
            self._lines.append(_section(text))

    def _row(self, row: Sequence[str]) -> None:
        number = clean(row[self.header.number]) if self.header.number is not None else ""
        counted = ""
        for column in self._categories:
            value = _prefixed(counted, _sentences(split_lines(row[column])))
            if column != self._categories[-1] and _OPENS_NUMBER.fullmatch(value):
                counted = value  # the number of the part, in a column of its own
                continue
            counted = ""
            if value and self._said.get(column) != value:
                self._said = {c: said for c, said in self._said.items() if c < column} | {column: value}
                self._lines.append(_section(value))
        same = bool(number) and number == self._number
        texts: list[str] = []
        columns = [c for c in self.header.texts if c not in self._categories]
        for column in columns:
            value = _sentences(split_lines(row[column]))
            merged = isinstance(row[column], Repeat) or (
                same and column != columns[-1] and self._said.get(column) == value
            )
            if value and not merged:
                texts.append(value)
                self._said[column] = value
        text, bracket = _sentences(texts), self._bracket(row)
        if not text and not bracket and not same and not _OPENS_NUMBER.fullmatch(number):
            self._whole_row(number)  # a section printed in the column of numbers
        elif not text and bracket and self._lines and same:
            self._lines[-1] = Line(self._lines[-1].text + bracket)
        elif text or bracket:
            self._lines.append(Line(("" if same else _prefix(number, text)) + text + bracket))
        self._number = number or self._number

    def _bracket(self, row: Sequence[str]) -> str:
        named = [(name, "、".join(split_lines(row[column]))) for column, name in self.header.units]
        pairs = [f"{name}:{value}" for name, value in named if value]
        return f"({';'.join(pairs)})" if pairs else ""


def _section(text: str) -> Line:
    """A category as a heading; a number of its own says its level better than the column does."""
    return Line(text, 0 if marker(text) or len(text) > HEADING_CHARS else _CATEGORY_LEVEL)


def _one_value(row: Sequence[str]) -> str | None:
    """The value of a row that is one merged cell."""
    values = {clean(cell) for cell in row}
    return str(row[0]) if len(row) > 1 and len(values) == 1 and values != {""} else None


def _prefix(number: str, text: str) -> str:
    """The number as a line prints it: a separator where the column has none, nothing where the text has the number."""
    if not number or (marker(text) and text.startswith(number)):
        return ""
    if number.isdecimal():
        return f"{number}. " if text[:1].isdigit() else f"{number}."
    if _OPENS_NUMBER.fullmatch(number) and number[-1] not in ")）":
        return f"{number}、"
    return number if number[-1] in ".．、)）" else f"{number} "


def _prefixed(number: str, text: str) -> str:
    return _prefix(number, text) + text


def _sentences(parts: Sequence[str]) -> str:
    """Several paragraphs of a row in one line: a full stop between them, unless a mark is there."""
    text = ""
    for part in parts:
        if text and text[-1] not in _ENDS:
            text += "。"
        text += part
    return text
