"""Lines in, a tree out: which lines are headings, which are items, what stands below what.

A marker opens a node. Its depth comes from the plan itself: a kind of number that is already open makes a sibling, a new kind
makes a child, and pairs once seen (`(一)` above `1.`) hold for the rest of the plan. Whether a node is a heading or an item is
decided last, when it is known what stands below it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from train.plans.body import SHORT, is_caption, is_page_number, is_prose, next_markers
from train.plans.numbering import Marker, read_doubtful
from train.plans.title import is_title
from train.plans.units import is_units

# Used only for a kind that turns up for the first time in the middle of a count.
_RANK = {
    kind: rank
    for rank, kind in enumerate(
        ["style", "part", "chapter", "section", "article", "named", "plain", "cn_dot", "cn_paren", "cn_half", "num", "num_num",
         "num_num_num", "num_paren", "num_half", "circled", "one_is", "task_is"]
    )
}  # fmt: skip
_INNER_STOP = re.compile(r"[。!！;；](?=.)")
# `总体工作思路` announces general demands, `2024年工作思路` is the plan itself.
_GENERAL = re.compile(
    r"总体要求|总体思路|指导思想|^(?:总体)?工作思路|基本原则|总体部署|总的要求|总要求|^[^,，。]{0,6}总体目标$"
)
_ALL_GENERAL = re.compile(r"^(?:总体要求|总体思路|指导思想|基本原则|总的要求|总要求)(?:[和与及].{1,8})?$")
# `一、二、三级医院…`, `5、6月份…`: enumerations unless the count says otherwise.
_ENUMERATION = re.compile(r"\s*(?:[一二三四五]\s*、\s*)+[一二三四五]\s*[级类线期产孩批型]")
_MONTHS = re.compile(r"\s*\d{1,2}\s*、\s*\d{1,2}\s*[月日号类期级]")
_HEADING_LENGTH = 60
_STOPPED_HEADING_LENGTH = 25
_MAX_JUMP = 3


@dataclass(slots=True)
class Node:
    """A numbered line, a heading without a number, or the root, with all that belongs to it.

    Attributes:
        kind: the marker's kind; "style" or "plain" for headings without a number; "root".
        marker: the number, None for headings without one.
        text: the line without its number.
        at: index of the line; -1 for the root.
        level: heading level given by the format, 0 for none.
        paragraphs: (index, text) of lines without a number that follow it.
        children: nodes below.
    """

    kind: str
    marker: Marker | None
    text: str
    at: int
    level: int = 0
    paragraphs: list[tuple[int, str]] = field(default_factory=list)
    children: list[Node] = field(default_factory=list)

    @property
    def printed(self) -> str:
        """The line as a heading of a path: number and text as printed, white space folded, none behind a dot or bracket."""
        mark = self.marker.mark if self.marker else ""
        gap = " " if mark[-1:].isspace() and mark.rstrip()[-1:].isalnum() else ""
        return re.sub(r"\s+", " ", (mark.strip() + gap + self.text).strip())

    @property
    def is_heading(self) -> bool:
        """Whether the line only names what follows."""
        if self.marker is None:
            return self.kind != "root"
        if self.is_title_like:
            return bool(self.children) or any(not is_units(text) for _, text in self.paragraphs)
        return bool(self.children) and len(self.text) <= _STOPPED_HEADING_LENGTH and not _INNER_STOP.search(self.text)

    @property
    def is_title_like(self) -> bool:
        """Whether the line is short and ends neither with a stop nor in the middle of a sentence."""
        return (
            len(self.text) <= _HEADING_LENGTH
            and not _INNER_STOP.search(self.text)
            and not self.text.endswith(("。", "!", "！", ";", "；", ",", "，", "、"))
        )

    @property
    def is_general(self) -> bool:
        """Whether the heading announces general demands, which are no items."""
        return len(self.text) <= SHORT and bool(_GENERAL.search(self.text))

    @property
    def is_all_general(self) -> bool:
        """Whether the numbered points below the heading are general demands as well."""
        return bool(_ALL_GENERAL.match(self.text.strip().rstrip("。:：")))


def confirm(lines: list[str], markers: list[Marker | None]) -> list[Marker | None]:
    """Drops markers that the count does not bear out.

    A number without its dot (`29深化`) or with a figure behind it (`3.65岁以上`) stays where 28 stands before it and 30, or
    nothing of its kind, behind it; a number with its separator falls only if it jumps ahead of everything counted so far.

    Args:
        lines: all lines.
        markers: the marker of each line as it looks by itself.

    Returns:
        As many entries, the doubtful ones None.
    """
    confirmed = list(markers)
    last: dict[str, int] = {}
    readings = [
        read_doubtful(t) if m and m.kind in ("num", "num_num") else None for t, m in zip(lines, markers, strict=True)
    ]
    followers = _followers(markers, readings)
    for at, marker in enumerate(markers):
        if marker is None:
            continue
        doubtful, (following, doubtful_following) = readings[at], followers[at]
        if marker.kind == "num_num" and doubtful and _is_item_before_figure(marker, doubtful, last, doubtful_following):
            marker, following = doubtful, doubtful_following
        if _holds(marker, lines[at], last.get(marker.kind), following):
            last[marker.kind] = marker.value
            confirmed[at] = marker
        else:
            confirmed[at] = None
    return confirmed


def _followers(markers: list[Marker | None], readings: list[Marker | None]) -> list[tuple[int | None, int | None]]:
    """The value with which the count goes on behind each line: that of its marker, and that of its doubtful reading.

    It is the next certain marker of the same kind; a doubtful one nearer by counts where it goes on by one.
    """
    certain: dict[str, tuple[int, int | None]] = {}
    doubtful: dict[int, int] = {}
    nowhere = len(markers)

    def following(marker: Marker | None) -> int | None:
        if marker is None:
            return None
        at, value = certain.get(marker.kind, (nowhere, None))
        nearer = marker.kind == "num" and doubtful.get(marker.value + 1, nowhere) < at
        return marker.value + 1 if nearer else value

    found: list[tuple[int | None, int | None]] = []
    for at in range(len(markers) - 1, -1, -1):
        marker, reading = markers[at], readings[at]
        found.append((following(marker), following(reading)))
        if marker and marker.certain:
            certain[marker.kind] = at, marker.value
        if reading:
            doubtful[reading.value] = at
    return found[::-1]


def _is_item_before_figure(section: Marker, item: Marker, last: dict[str, int], following: int | None) -> bool:
    """Whether `2.1型糖尿病` is the point 2 and not the section 2.1: the count of sections or that of points tells."""
    if section.value not in (1, last.get("num_num", -1) + 1):
        return True
    return item.value == last.get("num", -1) + 1 and following == item.value + 1


def _holds(marker: Marker, line: str, before: int | None, following: int | None) -> bool:
    """Whether the count bears a marker out, given the values of its kind before and behind it."""
    if not marker.certain:
        on = marker.value == (before or 0) + 1 and following in (None, marker.value + 1, 1)
        return (on and before is not None) or (marker.value == 1 and following == 2)
    if _ENUMERATION.match(line):
        return marker.value == (before or 0) + 1 and following == marker.value + 1
    if _MONTHS.match(line):
        return marker.value in (1, (before or 0) + 1) and following in (None, 1, marker.value + 1)
    if before is None and marker.kind in ("num_num", "num_num_num"):
        return marker.value == 1 or following == marker.value + 1
    return before is None or marker.value <= before + _MAX_JUMP or following == marker.value + 1


def build(lines: list[str], markers: list[Marker | None], hints: list[int], start: int, end: int) -> Node:
    """Grows the tree of the body.

    Args:
        lines: all lines of the document.
        markers: confirmed markers.
        hints: heading levels that the format gives, 0 for none.
        start: first line of the body.
        end: index behind its last line.

    Returns:
        The root; every line of the body is a node or a paragraph of one, save page numbers.
    """
    root = Node("root", None, "", -1)
    stack, seen = [root], set[tuple[str, str]]()
    ahead = next_markers(markers[:end])
    for at in range(start, end):
        text, marker = lines[at], markers[at]
        if marker:
            node = Node(marker.kind, marker, text[len(marker.mark) :].strip(), at, hints[at])
            _climb(stack, marker, seen)
        elif is_page_number(text):
            continue
        elif hints[at] and len(text) <= 2 * SHORT:
            node = Node("style", None, text.strip(), at, hints[at])
            while len(stack) > 1 and not (0 < stack[-1].level < hints[at]):
                stack.pop()
        elif at + 1 < end and is_caption(text.strip()) and _heads_next(lines, markers, at, stack, ahead[at]):
            node = Node("plain", None, text.strip(), at)
            _climb_plain(stack, markers[at + 1])
        else:
            stack[-1].paragraphs.append((at, text.strip()))
            continue
        seen.add((stack[-1].kind, node.kind))
        stack[-1].children.append(node)
        stack.append(node)
    return root


def _climb(stack: list[Node], marker: Marker, seen: set[tuple[str, str]]) -> None:
    """Pops to the parent under which a marker belongs."""
    kinds = [n.kind for n in stack]
    if marker.kind in kinds:
        del stack[kinds.index(marker.kind) :]
        return
    while len(stack) > 1:
        top = stack[-1].kind
        if (top, marker.kind) in seen or top in ("style", "plain"):
            return
        below = (marker.kind, top) in seen or (marker.value != 1 and _RANK[marker.kind] < _RANK[top])
        if not below:
            return
        stack.pop()


def _heads_next(
    lines: list[str], markers: list[Marker | None], at: int, stack: list[Node], following: Marker | None
) -> bool:
    """Whether a bare line heads what stands directly below it.

    That is either a series which goes on or begins again there, or a paragraph of a section that has no numbers.
    """
    kinds, top = {n.kind for n in stack}, stack[-1]
    ended = top.kind == "root" or lines[at - 1].rstrip().endswith(("。", ")", "）", ";", "；", "!", "！", "”"))
    if below := markers[at + 1]:
        return ended and (below.kind in kinds or top.kind == "root")
    unnumbered = following is None or following.kind in kinds
    opened = top.marker is None or (top.is_title_like and (ended or top.at == at - 1))
    return unnumbered and opened and is_prose(lines[at + 1]) and not is_title(lines[at])


def _climb_plain(stack: list[Node], below: Marker | None) -> None:
    """A heading without number goes above the series that it interrupts, beside earlier headings of its sort."""
    kinds = [n.kind for n in stack]
    if below:
        cut = [kinds.index(kind) for kind in ("plain", below.kind) if kind in kinds]
        del stack[min(cut, default=len(stack)) :]
    elif kinds[-1] == "plain":
        stack.pop()
