"""Web pages: every visible line of a page, chrome included; the outline decides what belongs to the plan."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from train.plans.formats.encoding import decode
from train.plans.formats.paragraphs import clean, heading_line, marker, split_lines
from train.plans.formats.refusals import Damaged
from train.plans.formats.tables import table_lines
from train.plans.formats.web_lists import ListNumbers
from train.plans.formats.web_tables import cell_grid, is_data_table
from train.plans.lines import Line

if TYPE_CHECKING:
    from lxml.etree import _Element

_DROPPED = frozenset((
    "script", "style", "noscript", "template", "head", "title", "rt", "rp", "svg", "math", "object", "iframe",
    "audio", "video", "canvas",
))  # fmt: skip
_BLOCKS = frozenset((
    "address", "article", "aside", "blockquote", "body", "button", "caption", "center", "dd", "details",
    "dialog", "dir", "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3",
    "h4", "h5", "h6", "header", "hr", "html", "legend", "li", "main", "menu", "nav", "ol", "optgroup", "option",
    "p", "pre", "section", "select", "summary", "table", "tbody", "td", "textarea", "tfoot", "th", "thead",
    "tr", "ul",
))  # fmt: skip
# Tags that may stay open by the thousand in pages made from Word files; they carry no structure.
_INLINE_TAGS = re.compile(
    r"</?(?:font|span|strong|b|em|i|u|a|big|small|o:p|st1:[a-z]+|label|tt|ins|sub|sup)\b[^<>]*>", re.I
)
_HIDDEN_STYLE = re.compile(r"(?:display\s*:\s*none|visibility\s*:\s*hidden)", re.I)
_BLOCK_STYLE = re.compile(r"display\s*:\s*(?:block|flex|grid|table|list-item)", re.I)
_CHARSET = re.compile(rb"<(?:meta|\?xml)[^>]{0,200}?(?:charset|encoding)\s*=\s*[\"']?\s*([\w.:-]+)", re.I)
_HEAD_BYTES = 4096  # where a charset must be declared; the standard says 1,024
# Beside a wide character a line break of the source is no space of the text.
_WIDE = re.compile("[\u2e80-\u9fff\u3001-\u303f\uff00-\uffef]")
_SPACES = re.compile(r"\s+")
_LINE_END = re.compile(r"[\r\n]")
_SOURCE_SPACE = re.compile(r"[ \t\r\n\f]+")
_MOST = 0.5  # of the text of a page: a hidden part that holds more than this is shown by a script


def read_web(raw: bytes) -> list[Line]:
    """The lines of a web page, from its bytes.

    Raises:
        Damaged: for mostly binary content, or a page nested beyond reason.
    """
    return html_lines(decode(raw, declared_charset(raw)))


def declared_charset(raw: bytes) -> str | None:
    """The charset that a page names in its head."""
    found = _CHARSET.search(raw[:_HEAD_BYTES])
    return found[1].decode("ascii") if found else None


def html_lines(text: str) -> list[Line]:
    """The visible lines of a page or of a piece of one.

    Raises:
        Damaged: for a page nested beyond reason.
    """
    root = _parse(text)
    return [] if root is None else _Walk(root).lines()


def _parse(text: str) -> _Element | None:
    """The tree. `huge_tree` lifts the depth from 256 to 2,048 and the 10 MB per text, beyond which libxml2 drops text.

    HTML has no entities to expand, so the switch opens no door; the size of a file is limited before.
    """
    from lxml import etree, html

    for source in (text, _INLINE_TAGS.sub("", text)):
        parser = html.HTMLParser(
            encoding="utf-8", no_network=True, remove_comments=True, remove_pis=True, huge_tree=True
        )
        raw = source.replace("\0", "").encode("utf-8", "replace")
        try:
            root = html.document_fromstring(raw, parser=parser)
        except etree.ParserError:
            return None  # nothing but comments and white space
        if not any(error.type_name == "ERR_RESOURCE_LIMIT" for error in parser.error_log):
            return root
    raise Damaged("nested more than 2,048 deep: save the page again, or paste the plan into a .txt file")


class _Walk:
    """One pass over a tree, without recursion but for the cells of a table."""

    def __init__(self, root: _Element, lengths: _Lengths | None = None) -> None:
        self._root = root
        self._lengths = lengths or _Lengths(root)
        self._parts: list[str] = []  # of the line in the making
        self._level = 0
        self._pre = 0
        self._lists = ListNumbers()
        self._lines: list[Line] = []

    def lines(self) -> list[Line]:
        stack: list[tuple[_Element, bool]] = [(self._root, False)]
        while stack:
            node, done = stack.pop()
            if done:
                self._close(node)
                self._text(node.tail if node is not self._root else None)
            elif self._open(node):
                stack.append((node, True))
                stack.extend((child, False) for child in reversed(node))
            else:
                self._text(node.tail if node is not self._root else None)
        self._break()
        return self._lines

    def _open(self, node: _Element) -> bool:
        """Enter an element; False if what it holds is dropped or done."""
        tag = node.tag
        if not isinstance(tag, str) or tag in _DROPPED or self._hidden(node):
            if tag in _BLOCKS:
                self._break()
            return False
        if tag == "br":
            self._break()
            return False
        if _is_block(node):
            self._break()
        if tag == "table" and is_data_table(node):
            grid = cell_grid(node, lambda cell: "\n".join(line.text for line in _Walk(cell, self._lengths).lines()))
            self._lines += table_lines(grid)
            return False
        if tag in ("td", "th") and self._parts:
            self._break()
        if tag in ("ol", "ul", "menu", "dir"):
            self._lists.open(node)
        elif tag == "li":
            self._lists.item(node)
        elif tag == "pre" or tag == "textarea":
            self._pre += 1
        elif tag in ("h1", "h2", "h3", "h4", "h5", "h6"):
            self._level = int(tag[1])
        self._text(node.text)
        return True

    def _close(self, node: _Element) -> None:
        if not _is_block(node):
            return
        self._break()
        if node.tag in ("ol", "ul", "menu", "dir"):
            self._lists.close()
        elif node.tag == "pre" or node.tag == "textarea":
            self._pre -= 1
        elif node.tag in ("h1", "h2", "h3", "h4", "h5", "h6"):
            self._level = 0

    def _hidden(self, node: _Element) -> bool:
        """Whether an element is not shown; a part that holds most of the text is, whatever the source says."""
        if node is self._root:
            return False
        style = node.get("style") or ""
        hidden = node.tag == "nav" or node.get("hidden") is not None or bool(style and _HIDDEN_STYLE.search(style))
        return hidden and self._lengths.share(node) <= _MOST

    def _text(self, text: str | None) -> None:
        if not text:
            return
        if self._pre:
            first, *rest = text.split("\n")
            self._parts.append(first)
            for line in rest:
                self._break()
                self._parts.append(line)
        else:
            self._parts.append(text)

    def _break(self) -> None:
        """End the line in the making."""
        if not self._parts:
            return
        text = clean(_SPACES.sub(_gap, "".join(self._parts)))
        self._parts.clear()
        for piece in split_lines(text):
            number = self._lists.take()
            if number and not marker(piece):
                piece = f"{number} {piece}" if piece[0].isascii() and piece[0].isalnum() else number + piece
            self._lines.append(heading_line(piece, self._level))


def _gap(found: re.Match[str]) -> str:
    """What a browser shows of a run of white space; looked at once, where a pattern would try every place in it."""
    run, text = found[0], found.string
    wide_before = bool(_WIDE.match(text[found.start() - 1 : found.start()]))
    wide_after = bool(_WIDE.match(text, found.end()))
    return _SOURCE_SPACE.sub(" ", _unbroken(run, wide_before, wide_after))


def _unbroken(run: str, wide_before: bool, wide_after: bool) -> str:
    """A run of white space without its line breaks beside wide characters, of which the ideographic space is one."""
    head = _LINE_END.split(run, maxsplit=1)[0]
    if head == run:
        return run
    kept, rest = head.rstrip(" \t"), run[len(head) :]
    if kept.endswith("\u3000") or (not kept and wide_before) or wide_after:
        return kept
    _, ideographic, after = rest.rpartition("\u3000")
    return kept + ideographic + _unbroken(after, True, False) if ideographic else run


def _is_block(node: _Element) -> bool:
    style = node.get("style")
    return node.tag in _BLOCKS or bool(style and _BLOCK_STYLE.search(style))


class _Lengths:
    """Characters of text below each element of a page, scripts and styles apart; counted when first asked for."""

    def __init__(self, root: _Element) -> None:
        self._root = root
        self._found: dict[_Element, int] = {}

    def share(self, node: _Element) -> float:
        """The share of a page's text that an element holds."""
        if not self._found:
            for element in reversed(list(self._root.iter())):  # children before their parents
                own = _visible(element.text) if element.tag not in _DROPPED else 0
                self._found[element] = own + sum(self._found[child] + _visible(child.tail) for child in element)
        return self._found[node] / max(1, self._found[self._root])


def _visible(text: str | None) -> int:
    return len(text.strip()) if text else 0
