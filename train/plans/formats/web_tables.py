"""Tables of web pages: which hold data, and their cells on a grid."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from train.plans.formats.tables import Repeat

if TYPE_CHECKING:
    from lxml.etree import _Element

_MAX_SPAN = 200  # columns or rows; `colspan="1000"`, the limit of the standard, is someone's way to say "all"
_MAX_CELLS = 1_000_000  # on the grid of one table; beyond it cells no longer spread
_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")


def is_data_table(table: _Element) -> bool:
    """Whether a table has rows of cells, rather than laying out a page.

    A data table holds no table and no heading, has a row of two cells, and all its text stands in cells: `<form>`
    between the rows or text beside the cells would be lost on a grid.
    """
    if any(inner is not table for inner in table.iter("table")) or next(table.iter(*_HEADINGS), None) is not None:
        return False
    cells = [list(_cells(row)) for row in _rows(table)]
    if max(map(len, cells), default=0) < 2:
        return False
    held = sum(_length(cell) for row in cells for cell in row) + sum(map(_length, _captions(table)))
    return held == _length(table)


def _length(node: _Element) -> int:
    return sum(len(piece.strip()) for piece in node.itertext())


def cell_grid(table: _Element, text_of: Callable[[_Element], str]) -> list[list[str]]:
    """The cells on a grid; a merged cell repeats its text as `Repeat`. A caption is a row of its own.

    Args:
        table: the element.
        text_of: the text of a cell, line feeds between its paragraphs.
    """
    grid: list[list[str]] = [[text_of(caption)] for caption in _captions(table)]
    room = _MAX_CELLS
    hanging: dict[int, tuple[int, str]] = {}  # column → rows that a cell still reaches down, its text
    for row in _rows(table):
        line: list[str] = []
        for cell in _cells(row):
            _fill(line, hanging)
            text = text_of(cell)
            width, height = _span(cell, "colspan"), _span(cell, "rowspan")
            width = width if room > 0 else 1
            room -= width * height
            for _ in range(width):
                if height > 1:
                    hanging[len(line)] = (height - 1, text)
                line.append(text)
                text = Repeat(text)
        _fill(line, hanging)
        grid.append(line)
    return grid


def _fill(line: list[str], hanging: dict[int, tuple[int, str]]) -> None:
    """Put the cells that hang down from above where the next cell of the row would stand."""
    while (column := len(line)) in hanging:
        left, text = hanging.pop(column)
        if left > 1:
            hanging[column] = (left - 1, text)
        line.append(Repeat(text))


def _captions(table: _Element) -> list[_Element]:
    return [child for child in table if child.tag == "caption"]


def _rows(table: _Element) -> Iterator[_Element]:
    yield from table.iter("tr")


def _cells(row: _Element) -> Iterator[_Element]:
    return (cell for cell in row if cell.tag in ("td", "th"))


def _span(cell: _Element, name: str) -> int:
    found = re.match(r"\s*(\d{1,4})", cell.get(name) or "")
    return max(1, min(int(found[1]), _MAX_SPAN)) if found else 1
