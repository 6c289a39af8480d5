"""The layout of printed pages: running heads and page numbers found, wrapped lines joined to paragraphs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from train.plans.formats.paragraphs import TERMINAL, clean, join
from train.plans.formats.pdf_tables import Ruled, continued, ruled_lines
from train.plans.lines import Line
from train.plans.numbering import read_marker

_BAND = 0.12  # of the page height, at the top and at the bottom, where running heads stand
_EDGE_LINES = 2  # a head has at most so many lines
_MIN_REPEATS = 3  # pages; in shorter documents a line must stand on every page, and on two at least
_NUMBER = r"(?:\d{1,4}|[ivxlc]{1,6}|[IVXLC]{1,6})"
_DASH = r"[-—–―－‐·•\s]*"
_PAGE_NUMBER = re.compile(
    rf"{_DASH}(?:第\s*)?{_NUMBER}\s*(?:页)?{_DASH}[,，/]?\s*(?:/\s*\d{{1,4}}|[(（]?共\s*\d{{1,4}}\s*页[)）]?)?{_DASH}"
    rf"|page\s*\d{{1,4}}(?:\s*of\s*\d{{1,4}})?",
    re.IGNORECASE,
)
# The number inside a running head (`某市工作要点 第3页`), so that the heads of all pages are equal.
_COUNTED = re.compile(r"第\s*\d{1,4}\s*页|共\s*\d{1,4}\s*页|[-—–]\s*\d{1,4}\s*[-—–]|\d{1,4}\s*/\s*\d{1,4}")
# Measured in characters: a full line may end this far before the margin (a number or a mark that must not be cut).
_SHORTFALL = 2.5
_INDENT = 1.4  # a first line is set in by two characters, at least by this much
_SIZE_CHANGE = 0.12  # a title or a heading is set larger than its text
_MIN_COLUMN = 0.4  # of the paper: no plan is set in a narrower column
_GAP_CHANGE = 1.7  # times the usual distance of lines: white space between paragraphs


@dataclass(frozen=True, slots=True)
class Printed:
    """One line on a page; positions in points from the upper left corner.

    Attributes:
        text: what it says.
        x0: left end.
        x1: right end.
        top: upper end.
        bottom: lower end.
        size: type size.
    """

    text: str
    x0: float
    x1: float
    top: float
    bottom: float
    size: float


def drop_running_heads(
    pages: Sequence[Sequence[Printed | Ruled]], heights: Sequence[float]
) -> list[list[Printed | Ruled]]:
    """The pages without page numbers and without lines that stand in the margin of most pages.

    Args:
        pages: lines and tables of each page, from top to bottom.
        heights: height of each page in points.
    """
    edges = [_edges(page, height) for page, height in zip(pages, heights, strict=True)]
    seen = Counter(key for page in edges for key in {_key(line) for line in page})
    least = max(2, min(_MIN_REPEATS, len(pages)), len(pages) // 2)
    repeated = {key for key, count in seen.items() if count >= least and key}
    return [
        [
            each
            for each in page
            if each not in edge or not (_PAGE_NUMBER.fullmatch(_text(each)) or _key(each) in repeated or not _key(each))
        ]
        for page, edge in zip(pages, edges, strict=True)
    ]


def _edges(page: Sequence[Printed | Ruled], height: float) -> list[Printed]:
    """The outermost lines of a page, where they stand in the margin."""
    lines = [each for each in page if isinstance(each, Printed)]
    upper = [line for line in lines[:_EDGE_LINES] if line.bottom <= _BAND * height]
    lower = [line for line in lines[-_EDGE_LINES:] if line.top >= (1 - _BAND) * height]
    return upper + lower


def _text(each: Printed | Ruled) -> str:
    return clean(each.text) if isinstance(each, Printed) else ""


def _key(each: Printed | Ruled) -> str:
    return _COUNTED.sub("", re.sub(r"\s", "", _text(each)))


def paragraphs(pages: Sequence[Sequence[Printed | Ruled]], width: float) -> list[Line]:
    """The paragraphs of a document, in reading order; they run on from page to page.

    Args:
        pages: lines and tables of each page, from top to bottom, without running heads.
        width: of the paper, in points.
    """
    flat = [each for page in pages for each in page]
    joiner = _Joiner([line for line in flat if isinstance(line, Printed)], width)
    for piece in _together(flat):
        if isinstance(piece, Printed):
            joiner.add(piece)
        else:
            joiner.put(ruled_lines(piece))
    return joiner.lines


def _together(flat: Sequence[Printed | Ruled]) -> Iterator[Printed | Ruled]:
    """The same, tables that go on at the head of the next page joined to one."""
    table: Ruled | None = None
    for each in flat:
        if isinstance(each, Ruled):
            if table is not None and (whole := continued(table, each)):
                table = whole
                continue
            if table is not None:
                yield table
            table = each
        else:
            if table is not None:
                yield table
                table = None
            yield each
    if table is not None:
        yield table


class _Joiner:
    """Printed lines in, paragraphs out."""

    def __init__(self, lines: Sequence[Printed], width: float) -> None:
        self.lines: list[Line] = []
        self._last: Printed | None = None  # the line that the last paragraph ends with, while it may go on
        self._em = median(line.size for line in lines) if lines else 1.0
        body = [line for line in lines if abs(line.size - self._em) <= _SIZE_CHANGE * self._em]
        rights = sorted(line.x1 for line in body)
        lefts = Counter(round(line.x0) for line in body)
        often = [x0 for x0, count in lefts.items() if count >= max(2, len(body) // 20)]
        self._left = float(min(often or lefts, default=0))
        self._right = rights[-1 - len(rights) // 20] if rights else 0.0
        if self._right - self._left < _MIN_COLUMN * width:  # a few short lines show no margin: suppose equal ones
            self._right = width - self._left
        gaps = [below.top - above.top for above, below in pairwise(lines) if below.top > above.top]
        self._gap = median(gaps) if gaps else 0.0
        firsts = sum(self._indented(line) for line in body)
        self._sets_in = firsts > 0 and 2 * firsts < len(body) + 2 * len(lefts)

    def add(self, line: Printed) -> None:
        """One more line."""
        text = clean(line.text)
        if not text:
            return
        if self._last is not None and not self._opens(line, text, self._last):
            self.lines[-1] = Line(join(self.lines[-1].text, text))
        else:
            self.lines.append(Line(text))
        self._last = line

    def put(self, lines: Sequence[Line]) -> None:
        """Lines that are paragraphs already."""
        self.lines += lines
        if lines:
            self._last = None

    def _indented(self, line: Printed) -> bool:
        return line.x0 >= self._left + _INDENT * self._em

    def _opens(self, line: Printed, text: str, last: Printed) -> bool:
        """Whether a line starts a paragraph of its own."""
        if last.x1 < self._right - _SHORTFALL * self._em:
            return True
        if abs(line.size - last.size) > _SIZE_CHANGE * last.size:
            return True
        if line.top - last.top > _GAP_CHANGE * self._gap > 0:
            return True
        ended = self.lines[-1].text[-1] in TERMINAL
        marker = read_marker(text)
        if marker and marker.certain and marker.kind != "one_is":
            # Where first lines are set in, a number at the margin after an open line is `附件\n1` cut by the margin.
            return ended or self._indented(line) or not self._sets_in
        return ended and (self._indented(line) or (marker is not None and not marker.certain))
