"""Automatic numbers of Word, restored as printed: `一、`, `(三)`, `2.1`.

A paragraph names a list (`num`) and a level. Lists refer to an abstract list, which holds the levels' formats; lists
that share one share its counters, too, unless they restart a level by an override.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from train.plans.formats.numerals import printed
from train.plans.formats.word_xml import attribute, child, children, integer, is_on, name, value

if TYPE_CHECKING:
    from lxml.etree import _Element

    from train.plans.formats.word_styles import Styles

_LEVELS = 9
_PLACE = re.compile(r"%([1-9])")
_CLOSED = tuple("、.．)）]】〕:：。")  # a number that ends so needs no space before its text
_MAX_LINKS = 8  # of a list to the style that defines it and back


@dataclass(frozen=True, slots=True)
class Level:
    """How one level of a list counts.

    Attributes:
        start: the first number.
        form: number format, a name of OOXML.
        text: what is printed, `%1` standing for the number of the first level.
        restart: levels before this one (from 1) restart it; None for all, 0 for none.
        legal: numbers of all levels in figures.
        style: the paragraph style tied to the level.
    """

    start: int = 1
    form: str = "decimal"
    text: str = ""
    restart: int | None = None
    legal: bool = False
    style: str = ""


@dataclass(frozen=True, slots=True)
class _List:
    abstract: int
    levels: dict[int, Level]
    restarted: frozenset[int]  # levels that start anew where this list is first used


class Numbering:
    """The lists of one file, and how far each has counted. Ask for every paragraph once, in document order."""

    def __init__(self, root: _Element | None, styles: Styles) -> None:
        self._styles = styles
        self._abstracts = {integer(attribute(node, "abstractNumId")): node for node in children(root, "abstractNum")}
        self._nums = {integer(attribute(node, "numId")): node for node in children(root, "num")}
        self._lists: dict[int, _List | None] = {}
        self._counts: dict[int, list[int | None]] = {}
        self._used: set[int] = set()

    def number(self, properties: _Element | None, style: str) -> str:
        """The number of a paragraph, as printed, counted on; empty for a paragraph outside lists and for bullets.

        Args:
            properties: the `pPr` of the paragraph.
            style: the id of its style.
        """
        key, level = self._place(properties, style)
        found = self._list(key) if key else None
        if found is None or level not in found.levels:
            return ""
        return self._print(found, level, self._count(key, found, level))

    def _place(self, properties: _Element | None, style: str) -> tuple[int, int]:
        """List and level of a paragraph: its own word first, then its style's, then those below."""
        key = integer(value(properties, "numPr", "numId"))
        level = integer(value(properties, "numPr", "ilvl"))
        for each in self._styles.chain(style):
            if key is not None:
                break
            key = each.number
            if key and level is None:
                level = each.level if each.level is not None else self._level_of_style(key, style, each.key)
        return key or 0, level or 0

    def _level_of_style(self, key: int, *styles: str) -> int:
        found = self._list(key)
        levels = found.levels if found else {}
        return next((n for style in styles for n, level in levels.items() if level.style == style), 0)

    def _list(self, key: int) -> _List | None:
        if key not in self._lists:
            self._lists[key] = self._read(key)
        return self._lists[key]

    def _read(self, key: int) -> _List | None:
        num = self._nums.get(key)
        abstract = self._abstract(num)
        if num is None or abstract is None:
            return None
        levels = {_index(node): _level(node) for node in children(abstract, "lvl")}
        restarted: set[int] = set()
        for override in children(num, "lvlOverride"):
            if (own := child(override, "lvl")) is not None:
                levels[_index(override)] = _level(own)
            if (start := integer(value(override, "startOverride"))) is not None:
                restarted.add(_index(override))
                levels[_index(override)] = replace(levels.get(_index(override), Level()), start=start)
        return _List(integer(attribute(abstract, "abstractNumId")) or 0, levels, frozenset(restarted))

    def _abstract(self, num: _Element | None) -> _Element | None:
        """The abstract list that holds the levels; some only name the list style that does."""
        for _ in range(_MAX_LINKS):
            abstract = self._abstracts.get(integer(value(num, "abstractNumId")))
            link = value(abstract, "numStyleLink")
            if abstract is None or link is None or child(abstract, "lvl") is not None:
                return abstract
            linked = next(self._styles.chain(link), None)
            num = self._nums.get(linked.number if linked else None)
        return None

    def _count(self, key: int, found: _List, level: int) -> list[int | None]:
        counts = self._counts.setdefault(found.abstract, [None] * _LEVELS)
        if key not in self._used:
            self._used.add(key)
            for at in found.restarted:
                counts[at] = None
        before = counts[level]
        counts[level] = found.levels[level].start if before is None else before + 1
        for deeper in range(level + 1, _LEVELS):
            restart = found.levels.get(deeper, Level()).restart
            if restart is None or level < restart:
                counts[deeper] = None
        return counts

    def _print(self, found: _List, level: int, counts: list[int | None]) -> str:
        own = found.levels[level]
        if own.form in ("bullet", "none") and not _PLACE.search(own.text):
            return "" if own.form == "bullet" else own.text.strip()

        def place(match: re.Match[str]) -> str:
            at = int(match[1]) - 1
            shown = found.levels.get(at, Level())
            count = counts[at]
            return printed(shown.start if count is None else count, "decimal" if own.legal else shown.form)

        return "" if own.form == "bullet" else _PLACE.sub(place, own.text).strip()


def with_number(number: str, text: str) -> str:
    """A number in front of a text, a space between them only where they would run together."""
    if not number or not text:
        return number or text
    closed = number.endswith(_CLOSED) and not (number[-1] in ".．" and text[0].isdecimal())
    return number + text if closed else f"{number} {text}"


def _index(node: _Element) -> int:
    return min(max(integer(attribute(node, "ilvl")) or 0, 0), _LEVELS - 1)


def _level(node: _Element) -> Level:
    start = integer(value(node, "start"))
    return Level(
        start=1 if start is None else start,
        form=_form(node),
        text=value(node, "lvlText") or "",
        restart=integer(value(node, "lvlRestart")),
        legal=is_on(node, "isLgl"),
        style=value(node, "pStyle") or "",
    )


def _form(node: _Element) -> str:
    """The number format; one that old versions do not know stands beside a substitute (`mc:AlternateContent`)."""
    for each in node.iter():
        if name(each) == "numFmt":
            form = attribute(each, "val") or "decimal"
            return "decimalZero" if form == "custom" and (attribute(each, "format") or "").startswith("0") else form
    return "decimal"
