"""Markdown: headings and tables as such, printed list numbers kept, marks of emphasis and links taken away."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from train.plans.formats.paragraphs import clean, heading_line, margin, rejoin, split_lines
from train.plans.formats.tables import table_lines
from train.plans.lines import Line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from markdown_it.token import Token

# CommonMark leaves `**任务。**推进` alone: a closing mark between punctuation and a letter does not close.
_STRAY_EMPHASIS = re.compile(r"(\*\*|__)(?=\S)(.+?)(?<=\S)\1")
# `#标题` without the space that CommonMark asks for.
_TIGHT_HEADING = re.compile(r"^(#{1,6})(?=[^#\s])", re.MULTILINE)
_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?\n)(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)


def markdown_lines(text: str) -> list[Line]:
    """The paragraphs of a Markdown text (CommonMark and tables)."""
    from markdown_it import MarkdownIt

    text = "\n".join(text.splitlines())
    lines: list[Line] = []
    if found := _FRONT_MATTER.match(text):
        lines += [Line(line) for line in split_lines(found[1])]
        text = text[found.end() :]
    text = _TIGHT_HEADING.sub(r"\1 ", text)
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    return lines + _Blocks(tokens, margin(text.splitlines())).lines()


class _Blocks:
    """One pass over the tokens of a document."""

    def __init__(self, tokens: Sequence[Token], edge: int | None) -> None:
        self._tokens: Iterator[Token] = iter(tokens)
        self._edge = edge
        self._level = 0
        self._number = ""  # of the list item whose first paragraph is still to come
        self._lines: list[Line] = []

    def lines(self) -> list[Line]:
        for token in self._tokens:
            match token.type:
                case "heading_open":
                    self._level = int(token.tag[1])
                case "heading_close":
                    self._level = 0
                case "list_item_open":
                    self._number = f"{token.info}{token.markup}" if token.info else ""
                case "inline":
                    self._add(rejoin(_inline(token).split("\n"), self._edge))
                case "code_block" | "fence":
                    self._add(rejoin(token.content.split("\n"), self._edge))
                case "html_block":
                    self._add_html(token.content)
                case "table_open":
                    self._lines += table_lines(self._table())
                case _:
                    pass
        return self._lines

    def _add(self, paragraphs: Sequence[str]) -> None:
        level = self._level if len(paragraphs) == 1 else 0  # a rule under a paragraph looks like a heading's underline
        for text in paragraphs:
            if self._number:
                gap = " " if text[0].isascii() and text[0].isalnum() else ""
                text, self._number = f"{self._number}{gap}{text}", ""
            self._lines.append(heading_line(text, level))

    def _add_html(self, content: str) -> None:
        from train.plans.formats.web import html_lines

        self._lines += html_lines(content)

    def _table(self) -> list[list[str]]:
        rows: list[list[str]] = []
        for token in self._tokens:
            if token.type == "table_close":
                break
            if token.type == "tr_open":
                rows.append([])
            elif token.type == "inline":
                rows[-1].append(clean(_inline(token)))
        return rows


def _inline(token: Token) -> str:
    """The visible text of an inline token; a line feed where a line ended."""
    parts: list[str] = []
    for child in token.children or []:
        if child.type in ("text", "text_special", "code_inline"):
            parts.append(child.content)
        elif child.type in ("softbreak", "hardbreak") or (
            child.type == "html_inline" and child.content.lower().startswith("<br")
        ):
            parts.append("\n")
    return _STRAY_EMPHASIS.sub(r"\2", "".join(parts))
