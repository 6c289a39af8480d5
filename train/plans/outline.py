"""Lines in, a tree out: which lines are headings, which are items, what stands below what.

A marker opens a node. Its depth comes from the plan itself: a kind of number that is already open makes a sibling, a new kind
makes a child, and pairs once seen (`(一)` above `1.`) hold for the rest of the plan. Whether a node is a heading or an item is
decided last, when it is known what stands below it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from train.plans.body import SHORT, is_page_number, is_prose
from train.plans.numbering import Marker, read_doubtful

# Used only for a kind that turns up for the first time in the middle of a count.
_RANK = {
    kind: rank
    for rank, kind in enumerate(
        ["style", "part", "chapter", "section", "article", "plain", "cn_dot", "cn_paren", "cn_half", "num", "num_num",
         "num_num_num", "num_paren", "num_half", "circled", "one_is", "task_is"]
    )
}  # fmt: skip
_INNER_STOP = re.compile(r"[。!！;；](?=.)")
_GENERAL = re.compile(r"总体要求|总体思路|指导思想|工作思路|基本原则|总体部署|总的要求|总要求|^[^,,。]{0,6}总体目标$")
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
        """The line as a heading of a path: number and text as printed, white space folded."""
        mark = self.marker.mark if self.marker else ""
        return re.sub(r"\s+", " ", (mark.strip() + self.text).strip())

    @property
    def is_heading(self) -> bool:
        """Whether the line only names what follows."""
        text = self.text.strip()
        if self.marker is None:
            return self.kind != "root"
        if len(text) > _HEADING_LENGTH or _INNER_STOP.search(text):
            return False
        stopped = text.endswith(("。", "!", "！", ";", "；"))
        if self.children:
            return not stopped or len(text) <= _STOPPED_HEADING_LENGTH
        return bool(self.paragraphs) and not stopped

    @property
    def is_general(self) -> bool:
        """Whether the heading announces general demands, which are no items."""
        return len(self.text) <= SHORT and bool(_GENERAL.search(self.text))


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
    for at, marker in enumerate(markers):
        if marker is None:
            continue
        if marker.kind == "num_num" and marker.value not in (1, last.get("num_num", -1) + 1):
            marker = read_doubtful(lines[at]) or marker
        following = _next(lines, markers, at, marker)
        confirmed[at] = marker if _holds(marker, lines[at], last.get(marker.kind), following) else None
        if confirmed[at]:
            last[marker.kind] = marker.value
    return confirmed


def _holds(marker: Marker, line: str, before: int | None, following: int | None) -> bool:
    """Whether the count bears a marker out, given the values of its kind before and behind it."""
    if not marker.certain:
        on = marker.value == (before or 0) + 1 and following in (None, marker.value + 1, 1)
        return (on and before is not None) or (marker.value == 1 and following == 2)
    if re.match(r"\s*[一二三四五]\s*、\s*[一二三四五]\s*[级类]", line):
        return False
    return before is None or marker.value <= before + _MAX_JUMP or following == marker.value + 1


def _next(lines: list[str], markers: list[Marker | None], at: int, marker: Marker) -> int | None:
    """The value of the next marker of a kind; a doubtful one counts where it goes on from `marker`."""
    for later in range(at + 1, len(lines)):
        found = markers[later]
        if found and found.certain and found.kind == marker.kind:
            return found.value
        doubtful = read_doubtful(lines[later]) if found and found.kind in ("num", "num_num") else None
        if doubtful and doubtful.kind == marker.kind and doubtful.value == marker.value + 1:
            return doubtful.value
    return None


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
    numbered = any(markers[start:end])
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
        elif _is_plain_heading(lines, markers, at, end, stack, numbered):
            node = Node("plain", None, text.strip(), at)
            _climb_plain(stack, next((m for m in markers[at + 1 : end] if m), None))
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


def _is_plain_heading(
    lines: list[str], markers: list[Marker | None], at: int, end: int, stack: list[Node], numbered: bool
) -> bool:
    """A short line without number or full stop, directly above text that it can head."""
    text = lines[at].strip()
    if len(text) > SHORT or re.search(r"[。,;;!、,:：]|\d{4}年\d", text) or at + 1 >= end:
        return False
    if not numbered:
        return is_prose(lines[at + 1])
    following = markers[at + 1]
    previous = lines[at - 1].rstrip() if at else "。"
    ended = previous.endswith(("。", ")", "）", ";", "；", "!", "”")) or stack[-1].kind == "root"
    return bool(following) and ended and any(n.kind == following.kind for n in stack if following)


def _climb_plain(stack: list[Node], following: Marker | None) -> None:
    """A heading without number goes above the series that it interrupts, beside earlier headings of its sort."""
    kinds = [n.kind for n in stack]
    if "plain" in kinds:
        del stack[kinds.index("plain") :]
    elif following and following.kind in kinds:
        del stack[kinds.index(following.kind) :]
