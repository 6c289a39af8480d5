"""Numbers of `<ol>` lists, which a browser prints and the source does not hold."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from train.plans.formats.numerals import circled, counted, printed
from train.plans.formats.paragraphs import marker

if TYPE_CHECKING:
    from lxml.etree import _Element

_STYLE_TYPE = re.compile(r"list-style(?:-type)?\s*:([^;]*)", re.I)
_TYPES = {"1": "decimal", "a": "lower-alpha", "A": "upper-alpha", "i": "lower-roman", "I": "upper-roman"}
_OPENING_CHARS = 16
_OPENING_ELEMENTS = 40

_UNNUMBERED = frozenset(("none", "disc", "circle", "square"))
_FORMATS: dict[str, Callable[[int], str]] = {
    "decimal": lambda n: f"{n}.",
    "decimal-leading-zero": lambda n: f"{n:02d}.",
    "lower-alpha": lambda n: printed(n, "lowerLetter") + ".",
    "upper-alpha": lambda n: printed(n, "upperLetter") + ".",
    "lower-latin": lambda n: printed(n, "lowerLetter") + ".",
    "upper-latin": lambda n: printed(n, "upperLetter") + ".",
    "lower-roman": lambda n: printed(n, "lowerRoman") + ".",
    "upper-roman": lambda n: printed(n, "upperRoman") + ".",
    "cjk-ideographic": lambda n: counted(n) + "、",
    "simp-chinese-informal": lambda n: counted(n) + "、",
    "trad-chinese-informal": lambda n: counted(n) + "、",
    "cjk-heavenly-stem": lambda n: printed(n, "ideographTraditional") + "、",
    "circled-decimal": circled,
}


@dataclass
class _List:
    numbered: bool
    style: str
    next: int
    step: int


class ListNumbers:
    """The lists that are open at one place of a page, and the number that the next line takes."""

    def __init__(self) -> None:
        self._open: list[_List] = []
        self._pending = ""

    def open(self, node: _Element) -> None:
        """Enter a list. A list whose items print numbers of their own has none: style sheets switch them off."""
        style = _style(node) or _TYPES.get(node.get("type") or "", "decimal")
        items = [child for child in node if child.tag == "li"]
        own = any(marker(_opening(item)) for item in items)
        numbered = node.tag == "ol" and not own and style not in _UNNUMBERED
        backwards = node.get("reversed") is not None
        start = _integer(node.get("start"), len(items) if backwards else 1)
        self._open.append(_List(numbered, style, start, -1 if backwards else 1))

    def close(self) -> None:
        """Leave the innermost list."""
        if self._open:
            self._open.pop()
        self._pending = ""

    def item(self, node: _Element) -> None:
        """Enter an item of the innermost list."""
        self._pending = ""
        if not self._open or not self._open[-1].numbered:
            return
        current = self._open[-1]
        number = _integer(node.get("value"), current.next)
        current.next = number + current.step
        style = _style(node) or current.style
        if style not in _UNNUMBERED:
            self._pending = _FORMATS[style](number)

    def take(self) -> str:
        """The number of the line that begins here; once per item."""
        number, self._pending = self._pending, ""
        return number


def _style(node: _Element) -> str:
    found = _STYLE_TYPE.search(node.get("style") or "")
    words = re.findall(r"[a-z][a-z-]*", found[1].lower()) if found else []
    return next((word for word in words if word in _FORMATS or word in _UNNUMBERED), "")


def _opening(item: _Element) -> str:
    """The first characters of an item, enough to hold a number."""
    text = ""
    for element in islice(item.iter(), _OPENING_ELEMENTS):
        piece = (element.text or "") + (element.tail or "") * (element is not item)
        text = (text + piece).lstrip()
        if len(text) >= _OPENING_CHARS:
            break
    return text[:_OPENING_CHARS]


def _integer(text: str | None, default: int) -> int:
    found = re.match(r"\s*([-+]?\d{1,6})", text or "")
    return int(found[1]) if found else default
