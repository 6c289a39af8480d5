"""Paragraph styles of a Word file: what they say of headings and numbers, through the chain of basedOn."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from train.plans.formats.word_xml import attribute, child, children, integer, is_on, value

if TYPE_CHECKING:
    from lxml.etree import _Element

_HEADING = re.compile(r"(?:heading|标题|標題)\s*([1-9])", re.IGNORECASE)
_TITLE = re.compile(r"title|标题|標題|文档标题|大标题", re.IGNORECASE)
_CONTENTS = re.compile(r"(?:toc|目录|目錄|table of figures|图表目录)\s*\d?", re.IGNORECASE)
_BODY_LEVEL = 9  # outline level that means body text


@dataclass(frozen=True, slots=True)
class Style:
    """One paragraph style.

    Attributes:
        key: its id.
        title: its name.
        based_on: the id of the style it refines.
        outline: outline level from 0, None if it says nothing.
        number: id of the list it belongs to, None if it says nothing, 0 for "no list".
        level: level within that list, None if it says nothing.
        hidden: its text is not shown.
    """

    key: str
    title: str
    based_on: str
    outline: int | None
    number: int | None
    level: int | None
    hidden: bool


class Styles:
    """The styles of one file."""

    def __init__(self, root: _Element | None) -> None:
        self._styles: dict[str, Style] = {}
        self.default = ""  # the style of a paragraph that names none
        for node in children(root, "style"):
            style = _style(node)
            self._styles[style.key] = style
            if attribute(node, "type") in (None, "paragraph") and attribute(node, "default") in ("1", "true", "on"):
                self.default = style.key

    def chain(self, key: str) -> Iterator[Style]:
        """A style and those it is based on, nearest first."""
        seen: set[str] = set()
        while key in self._styles and key not in seen:
            seen.add(key)
            yield self._styles[key]
            key = self._styles[key].based_on

    def heading(self, key: str) -> int:
        """1–6 for a heading style, else 0."""
        for style in self.chain(key):
            if found := _HEADING.fullmatch(style.title.strip()):
                return min(int(found[1]), 6)
            if style.outline is not None:
                return heading_level(style.outline)
            if _TITLE.fullmatch(style.title.strip()):
                return 1
        return 0

    def is_contents(self, key: str) -> bool:
        """Whether a style is that of a table of contents."""
        return any(_CONTENTS.fullmatch(style.title.strip()) for style in self.chain(key))

    def is_hidden(self, key: str) -> bool:
        """Whether text in a style is not shown."""
        return any(style.hidden for style in self.chain(key))


def heading_level(outline: int) -> int:
    """Outline level of Word, from 0, to heading level, from 1; 0 for body text."""
    return min(outline + 1, 6) if 0 <= outline < _BODY_LEVEL else 0


def _style(node: _Element) -> Style:
    properties = child(node, "pPr")
    return Style(
        key=attribute(node, "styleId") or "",
        title=value(node, "name") or "",
        based_on=value(node, "basedOn") or "",
        outline=integer(value(properties, "outlineLvl")),
        number=integer(value(properties, "numPr", "numId")),
        level=integer(value(properties, "numPr", "ilvl")),
        hidden=is_on(node, "rPr", "vanish"),
    )
