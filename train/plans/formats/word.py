"""Word files (.docx): paragraphs, tables, text boxes and content controls in reading order, numbers as printed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from train.plans.formats.paragraphs import clean, heading_line, split_lines
from train.plans.formats.tables import Repeat, table_lines
from train.plans.formats.word_numbering import Numbering, with_number
from train.plans.formats.word_package import Package
from train.plans.formats.word_styles import Styles, heading_level
from train.plans.formats.word_xml import attribute, child, children, integer, is_on, name, value
from train.plans.lines import Line

if TYPE_CHECKING:
    from lxml.etree import _Element

# Wrappers whose content is shown. What is in none of these lists (deleted and moved-away text, field codes, notes,
# comments, ruby readings) is not.
_WRAPPERS = frozenset((
    "ins", "moveTo", "hyperlink", "smartTag", "sdt", "sdtContent", "fldSimple", "customXml", "dir", "bdo",
    "ruby", "rubyBase", "oMath", "oMathPara",
))  # fmt: skip
_BOX_HOLDERS = frozenset(("drawing", "pict", "object"))
_MARKS = {"tab": " ", "ptab": " ", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
_MAX_COLUMNS = 100  # Word itself stops at 63


def read_docx(raw: bytes) -> list[Line]:
    """The lines of a Word file.

    Headers, footers, notes, comments, hidden text and tables of contents are left out; tracked changes are read as
    accepted.

    Raises:
        Damaged: for a damaged or hostile file.
        Oversized: for one that passes the limits.
        Locked: for one with a password.
    """
    package = Package(raw)
    main = package.document_name()
    parts = package.relations(main)
    named = {kind.rpartition("/")[2]: target for kind, target in parts.values()}
    styles = Styles(package.xml(named.get("styles", "")))
    reader = _Reader(package, {key: target for key, (_, target) in parts.items()}, styles)
    reader.numbering = Numbering(package.xml(named.get("numbering", "")), styles)
    lines = list(reader.blocks(child(package.xml(main), "body")))
    return lines + [Line(line) for line in split_lines(reader.carried)]


class _Reader:
    """The state of one pass over a document."""

    def __init__(self, package: Package, parts: dict[str, str], styles: Styles) -> None:
        self._package = package
        self._parts = parts
        self._styles = styles
        self.numbering = Numbering(None, styles)
        self.carried = ""  # text of a paragraph whose end is deleted: it belongs to the next one

    def blocks(self, parent: _Element | None, in_cell: bool = False) -> Iterator[Line]:
        """The lines of the paragraphs and tables in an element.

        Args:
            parent: body, cell, text box or content control.
            in_cell: whether a number without text is content, as in a column of automatic numbers.
        """
        for node in parent if parent is not None else ():
            match name(node):
                case "p":
                    yield from self._paragraph(node, in_cell)
                case "tbl":
                    yield from self._table(node)
                case "sdt":
                    if not _is_contents(node):
                        yield from self.blocks(child(node, "sdtContent"), in_cell)
                case "ins" | "moveTo" | "customXml" | "smartTag":
                    yield from self.blocks(node, in_cell)
                case "AlternateContent":
                    yield from self.blocks(_alternative(node), in_cell)
                case "altChunk":
                    yield from self._chunk(node)
                case _:
                    pass

    def _paragraph(self, node: _Element, in_cell: bool) -> Iterator[Line]:
        properties = child(node, "pPr")
        style = value(properties, "pStyle") or self._styles.default
        boxes: list[_Element] = []
        text = self.carried + "".join(_runs(node, self._styles, boxes))
        self.carried = ""
        if is_on(properties, "rPr", "del") or is_on(properties, "rPr", "moveFrom"):
            self.carried = text
        elif not self._is_silent(properties, style, text):
            number = self.numbering.number(properties, style)
            lines = split_lines(text) or ([""] if number and in_cell else [])
            for at, line in enumerate(lines):
                yield heading_line(with_number(number, line) if at == 0 else line, self._heading(properties, style))
        for box in boxes:
            yield from self.blocks(box, in_cell)

    def _is_silent(self, properties: _Element | None, style: str, text: str) -> bool:
        """Whether a paragraph is a line of a table of contents, or hidden with its end mark."""
        hidden = not clean(text) and (is_on(properties, "rPr", "vanish") or self._styles.is_hidden(style))
        return hidden or self._styles.is_contents(style)

    def _heading(self, properties: _Element | None, style: str) -> int:
        own = integer(value(properties, "outlineLvl"))
        return self._styles.heading(style) if own is None else heading_level(own)

    def _table(self, node: _Element) -> Iterator[Line]:
        """A table of two columns or more goes to `table_lines`; one of a single column only frames its text."""
        rows = [row for row in _rows(node) if child(row, "trPr", "del") is None]
        if all(sum(1 for _ in _cells(row)) < 2 for row in rows):
            for row in rows:
                for cell in _cells(row):
                    yield from self.blocks(cell)
            return
        above: dict[int, str] = {}  # column → text of the cell over it
        grid: list[list[str]] = []
        for row in rows:
            line: list[str] = [""] * min(integer(value(row, "trPr", "gridBefore")) or 0, _MAX_COLUMNS)
            for cell in _cells(row):
                text = "\n".join(each.text for each in self.blocks(cell, in_cell=True))
                merge = child(cell, "tcPr", "vMerge")
                if merge is not None and attribute(merge, "val") != "restart" and not text:
                    text = Repeat(above.get(len(line), ""))
                for _ in range(max(1, min(integer(value(cell, "tcPr", "gridSpan")) or 1, _MAX_COLUMNS))):
                    above[len(line)] = text
                    line.append(text)
                    text = Repeat(text)
            grid.append(line)
        yield from table_lines(grid)

    def _chunk(self, node: _Element) -> Iterator[Line]:
        """A page or text that a converter put into the package whole."""
        part = self._parts.get(attribute(node, "id") or "", "")
        raw = self._package.bytes(part) or b""
        suffix = part.rpartition(".")[2].lower()
        if suffix in ("mht", "mhtml"):
            from train.plans.formats.mhtml import read_mhtml

            yield from read_mhtml(raw)
        elif suffix in ("htm", "html", "xhtml"):
            from train.plans.formats.web import read_web

            yield from read_web(raw)
        elif suffix == "txt":
            from train.plans.formats.encoding import decode
            from train.plans.formats.text import text_lines

            yield from text_lines(decode(raw))


def _runs(parent: _Element | None, styles: Styles, boxes: list[_Element]) -> Iterator[str]:
    """The shown text in a paragraph; text boxes anchored there are put aside."""
    for node in parent if parent is not None else ():
        kind = name(node)
        if kind == "r":
            style = value(node, "rPr", "rStyle") or ""
            vanish = child(node, "rPr", "vanish")
            if not (is_on(node, "rPr", "vanish") if vanish is not None else styles.is_hidden(style)):
                yield from _run(node, styles, boxes)
        elif kind in _WRAPPERS:
            yield from _runs(node, styles, boxes)
        elif kind == "AlternateContent":
            yield from _runs(_alternative(node), styles, boxes)
        elif kind in _BOX_HOLDERS:
            boxes.extend(_boxes(node))
        elif kind == "t":
            yield node.text or ""  # formulas


def _run(run: _Element | None, styles: Styles, boxes: list[_Element]) -> Iterator[str]:
    for node in run if run is not None else ():
        kind = name(node)
        if kind == "t":
            yield node.text or ""
        elif kind in _MARKS:
            yield _MARKS[kind]
        elif kind == "sym":
            code = integer(attribute(node, "char"), 16) or 0
            yield chr(code) if 0x20 <= code < 0xD800 else ""  # F0xx are pictures of a symbol font
        elif kind in _BOX_HOLDERS:
            boxes.extend(_boxes(node))
        elif kind == "AlternateContent":
            yield from _run(_alternative(node), styles, boxes)
        elif kind == "ruby":
            yield from _runs(node, styles, boxes)


def _boxes(node: _Element) -> Iterator[_Element]:
    """The outermost text boxes in a drawing, each once: its modern form, not the picture for old versions."""
    stack = [node]
    while stack:
        each = stack.pop()
        if name(each) == "txbxContent":
            yield each
        elif name(each) == "AlternateContent":
            stack.extend(found for found in (_alternative(each),) if found is not None)
        else:
            stack.extend(reversed(each))


def _alternative(node: _Element) -> _Element | None:
    """The first alternative: `Choice` is what present versions show, `Fallback` repeats it for old ones."""
    return next(children(node, "Choice"), next(children(node, "Fallback"), None))


def _is_contents(node: _Element) -> bool:
    gallery = value(node, "sdtPr", "docPartObj", "docPartGallery")
    return gallery == "Table of Contents"


def _rows(table: _Element) -> Iterator[_Element]:
    return _inside(table, "tr")


def _cells(row: _Element) -> Iterator[_Element]:
    return _inside(row, "tc")


def _inside(node: _Element, wanted: str) -> Iterator[_Element]:
    """Rows or cells, also those in content controls and tracked changes."""
    for each in node:
        if name(each) == wanted:
            yield each
        elif name(each) in ("sdt", "sdtContent", "ins", "moveTo", "customXml"):
            yield from _inside(each, wanted)
