"""PDF files with text in them: printed lines back to paragraphs, ruled tables to rows, running heads dropped."""

from __future__ import annotations

import re
from statistics import median
from typing import TYPE_CHECKING, Any

from train.plans.formats.pdf_layout import Printed, drop_running_heads, paragraphs
from train.plans.formats.pdf_limits import laid_out
from train.plans.formats.pdf_tables import GAP, Ruled, find_tables
from train.plans.formats.refusals import Oversized, Textless

if TYPE_CHECKING:
    from train.plans.lines import Line

_MAX_CHARS = 3_000_000  # characters of all pages; 2,000 full pages have 1.6 million
_UNMAPPED = re.compile(r"\(cid:\d+\)")
_UNMAPPED_SHARE = 0.3  # more characters than this without a meaning, and the text is as good as a picture
_TILT = 0.05  # rise of a line of text per length: the pages of a crooked original stay below it

_SCAN = "a scan, pictures of pages without text: run OCR on it first, or ask for the Word file"
_MUTE = "its fonts do not say which characters they draw: run OCR on it first, or ask for the Word file"


def read_pdf(raw: bytes) -> list[Line]:
    """The lines of a PDF file.

    Raises:
        Damaged: for a file that is broken or hostile.
        Locked: for a file with a password.
        Oversized: for too many pages or characters.
        Textless: for a scan, or fonts that do not map to characters.
    """
    pages: list[list[Printed | Ruled]] = []
    sizes: list[tuple[float, float]] = []
    chars = unmapped = 0
    for page in laid_out(raw):
        chars += len(page.chars)
        if chars > _MAX_CHARS:
            raise Oversized(f"more than {_MAX_CHARS:,} characters by page {page.page_number}: split it")
        unmapped += sum(bool(_UNMAPPED.fullmatch(char["text"])) for char in page.chars)
        pages.append(_elements(page))
        sizes.append((float(page.width), float(page.height)))
    if not chars:
        raise Textless(_SCAN)
    if unmapped > _UNMAPPED_SHARE * chars:
        raise Textless(_MUTE)
    lines = paragraphs(drop_running_heads(pages, [height for _, height in sizes]), median(width for width, _ in sizes))
    if not lines:
        raise Textless(_SCAN)
    return lines


def _elements(page: Any) -> list[Printed | Ruled]:
    """The printed lines and ruled tables of a page, from top to bottom."""
    page = page.dedupe_chars(tolerance=1)  # bold type is often drawn as the same characters twice
    chars = page.chars
    level = sum(map(_is_level, chars))
    if 2 * level >= len(chars) > level:
        page = page.filter(_is_level)  # without a watermark across the page
    tables = find_tables(page)
    rest = page.filter(lambda each: not _in_table(each, tables)) if tables else page
    return sorted([*tables, *_printed(rest)], key=lambda each: each.top)


def _is_level(each: dict[str, Any]) -> bool:
    """Whether an object is no character, or one whose line runs from left to right."""
    matrix = each.get("matrix") if each["object_type"] == "char" else None
    return matrix is None or abs(matrix[1]) <= _TILT * matrix[0]


def _in_table(each: dict[str, Any], tables: list[Ruled]) -> bool:
    if each["object_type"] != "char":
        return False
    across, down = (each["x0"] + each["x1"]) / 2, (each["top"] + each["bottom"]) / 2
    return any(table.holds(across, down) for table in tables)


def _printed(page: Any) -> list[Printed]:
    lines = page.extract_text_lines(return_chars=True, x_tolerance_ratio=GAP, y_tolerance=3)
    return [
        Printed(
            text=_UNMAPPED.sub("\ufffd", line["text"]),
            x0=float(line["x0"]),
            x1=float(line["x1"]),
            top=float(line["top"]),
            bottom=float(line["bottom"]),
            size=float(max(char["size"] for char in line["chars"])),
        )
        for line in lines
    ]
