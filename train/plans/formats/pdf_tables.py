"""Ruled tables on PDF pages: found by their lines, read cell by cell, joined across pages."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from train.plans.formats.paragraphs import join, marker
from train.plans.formats.tables import Repeat, table_lines

if TYPE_CHECKING:
    from train.plans.lines import Line

_MAX_DRAWN = 20_000  # drawn lines of one page; beyond it stands a map or a diagram, and the search takes minutes
GAP = 0.4  # of a character: a wider gap is a space; justified Chinese text opens narrower ones
_SAME_LINE = 3.0  # points by which characters of one line may stand higher or lower
_PADDING = 5.4  # points between a cell's edge and its text, as Word sets it
_ROOM = 1.5  # characters: a mark that must not open a line takes one with it to the next
_GOES_ON = tuple("、,，(（《")
_SAME_EDGE = 4.0  # points by which the sides of a table may differ from page to page


Box = tuple[float, float, float, float]  # left, top, right, bottom in points


@dataclass(frozen=True, slots=True)
class Ruled:
    """A table on a page.

    Attributes:
        box: where it stands.
        rows: cell texts, a line feed between the paragraphs of a cell; a merged cell repeats its text.
        cells: the boxes of its cells, which may leave a part of its own box free.
    """

    box: Box
    rows: tuple[tuple[str, ...], ...]
    cells: tuple[Box, ...] = ()

    @property
    def top(self) -> float:
        """Where it begins on its page."""
        return self.box[1]

    def holds(self, across: float, down: float) -> bool:
        """Whether a point lies in one of its cells."""
        x0, top, x1, bottom = self.box
        if not (x0 <= across < x1 and top <= down < bottom):
            return False
        return any(x0 <= across < x1 and top <= down < bottom for x0, top, x1, bottom in self.cells)


def find_tables(page: Any) -> list[Ruled]:
    """The ruled tables of a page with two columns at least; a frame around text is none."""
    if len(page.edges) > _MAX_DRAWN:
        return []
    found: list[Ruled] = []
    for table in page.find_tables():
        rows = _rows(table, page.chars)
        if any(map(any, rows)) and len(rows[0]) >= 2:
            x0, top, x1, bottom = map(float, table.bbox)
            found.append(Ruled((x0, top, x1, bottom), rows, tuple(table.cells)))
    return found


def _rows(table: Any, chars: Sequence[dict[str, Any]]) -> tuple[tuple[str, ...], ...]:
    """The cells on the grid of all left edges by all upper edges; where none begins, the one that covers the place."""
    boxes: list[Box] = list(table.cells)
    lefts, tops = sorted({box[0] for box in boxes}), sorted({box[1] for box in boxes})
    owners = [[_owner(boxes, left, top) for left in lefts] for top in tops]
    held: dict[Box, list[dict[str, Any]]] = {box: [] for box in boxes}
    for char in chars:
        across, down = _middle(char)
        column, row = bisect_right(lefts, across) - 1, bisect_right(tops, down) - 1
        box = owners[row][column] if row >= 0 and column >= 0 else None
        if box is not None and across < box[2] and down < box[3]:
            held[box].append(char)
    texts = {box: _text(box, inside) for box, inside in held.items()}
    return tuple(
        tuple(
            "" if box is None else texts[box] if box[:2] == (left, top) else Repeat(texts[box])
            for left, box in zip(lefts, row_of, strict=True)
        )
        for top, row_of in zip(tops, owners, strict=True)
    )


def _owner(boxes: Sequence[Box], left: float, top: float) -> Box | None:
    return next((box for box in boxes if box[0] <= left < box[2] and box[1] <= top < box[3]), None)


def _middle(char: dict[str, Any]) -> tuple[float, float]:
    return (char["x0"] + char["x1"]) / 2, (char["top"] + char["bottom"]) / 2


def _text(box: Box, chars: Sequence[dict[str, Any]]) -> str:
    """The paragraphs of a cell: a line that leaves no room for one more character was broken by the cell's edge."""
    from pdfplumber.utils.clustering import cluster_objects
    from pdfplumber.utils.text import extract_text

    text, full = "", True
    for line in cluster_objects(list(chars), "top", _SAME_LINE):
        printed = extract_text(line, x_tolerance_ratio=GAP).strip()
        if not printed:
            continue
        text = (
            join(text, printed) if (full and not marker(printed)) or text.endswith(_GOES_ON) else f"{text}\n{printed}"
        )
        width = max(char["x1"] for char in line) - min(char["x0"] for char in line)
        full = width + _ROOM * max(char["size"] for char in line) > box[2] - box[0] - 2 * _PADDING
    return text.strip("\n")


def continued(above: Ruled, below: Ruled) -> Ruled | None:
    """Both as one, if the second goes on at the head of the next page: the same sides, the same number of columns."""
    same_sides = all(abs(above.box[i] - below.box[i]) <= _SAME_EDGE for i in (0, 2))
    if same_sides and len(above.rows[0]) == len(below.rows[0]) and below.top <= above.top + 1:
        return Ruled(below.box, above.rows + below.rows)
    return None


def ruled_lines(table: Ruled) -> list[Line]:
    """The lines of a table."""
    return table_lines(table.rows)
