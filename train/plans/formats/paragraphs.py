"""Paragraphs out of printed lines: cleaning, joining what a margin broke, and the limits of a heading."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from train.plans.lines import Line
from train.plans.numbering import Marker, read_marker

TERMINAL = '。；;：:！!？?….）)】》”"'  # what may stand at the end of a paragraph
HEADING_CHARS = 100  # a heading style on more than this is a whole paragraph set in bold, seen in many Word files
_SPACES = re.compile(r"[\t\u00a0\u2000-\u200a\u202f\u205f]")
# Zero-width marks, soft hyphens, direction marks, byte-order marks and control characters: never part of a text.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x84\x86-\x9f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\ufffe\uffff]"
)
_WIDE = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef\u3000-\u303f“”‘’…—·①-⑳]")
_MIN_LINES = 6  # fewer lines than this show no margin
_MIN_WIDTH, _MAX_WIDTH = 40, 200  # columns; e-mail and typewriter margins lie between
_SLACK = 4  # columns a full line may miss: punctuation that must not open a line, a number that must not break


def clean(text: str) -> str:
    """The text without invisible characters and outer spaces; special spaces become plain ones."""
    return _INVISIBLE.sub("", _SPACES.sub(" ", text)).strip()


def split_lines(text: str) -> list[str]:
    """The non-blank lines, cleaned; every line separator of Unicode and the form feed count."""
    return [line for piece in text.splitlines() if (line := clean(piece))]


def heading_line(text: str, level: int) -> Line:
    """A line that the format marks as a heading of that level (0: not at all), unless it is too long to be one."""
    return Line(text, min(level, 6) if level > 0 and len(text) <= HEADING_CHARS else 0)


def join(first: str, second: str) -> str:
    """Two printed lines of one paragraph: a space only between Latin words or figures."""
    if not first or not second or _WIDE.match(first[-1]) or _WIDE.match(second[0]):
        return first + second
    return f"{first} {second}"


def marker(text: str) -> Marker | None:
    """The number at the head of a line, if its separator is printed too."""
    found = read_marker(text)
    return found if found and found.certain else None


def display_width(text: str) -> int:
    """Columns in a fixed-width font; ambiguous characters count two, as in Chinese fonts."""
    return sum(2 if unicodedata.east_asian_width(c) in "WFA" else 1 for c in text)


def margin(lines: Sequence[str]) -> int | None:
    """The column at which a hard-wrapped text breaks its lines, or None where lines are paragraphs.

    Args:
        lines: printed lines, with their indents, blank ones included.
    """
    widths = sorted(display_width(line.rstrip()) for line in lines if line.strip())
    if len(widths) < _MIN_LINES:
        return None
    edge = widths[-1 - len(widths) // 20]  # the longest but for one in twenty, which may stick out
    if not _MIN_WIDTH <= edge <= _MAX_WIDTH or widths[-1] > edge + 2 * _SLACK:
        return None
    full = [line.rstrip() for line in lines if display_width(line.rstrip()) >= edge - _SLACK]
    open_ended = sum(line[-1] not in TERMINAL for line in full)
    return edge if 2 * len(full) >= len(widths) and 5 * open_ended >= 3 * len(full) else None


def rejoin(lines: Sequence[str], edge: int | None) -> list[str]:
    """Paragraphs from printed lines.

    Args:
        lines: printed lines with their indents; a blank one ends a paragraph.
        edge: where the text was broken, from `margin`; None leaves every line a paragraph.
    """
    paragraphs: list[str] = []
    running = False  # whether the last paragraph may go on
    for line in lines:
        text = clean(line)
        if not text:
            running = False
            continue
        if running and not _opens(line, text, paragraphs[-1]):
            paragraphs[-1] = join(paragraphs[-1], text)
        else:
            paragraphs.append(text)
        running = edge is not None and display_width(line.rstrip()) >= edge - _SLACK
    return paragraphs


def _opens(line: str, text: str, before: str) -> bool:
    """Whether a line after a full one starts a paragraph of its own."""
    ended = before[-1] in TERMINAL
    indented = line[0] in " \t\u3000" and ended
    found = read_marker(text)
    if found is None or found.kind == "one_is":  # `二是` runs on inside a paragraph
        return indented
    return found.certain or ended
