"""What a format reader hands to the outline: the paragraphs of a document, in reading order."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """One paragraph.

    Attributes:
        text: the paragraph, without line breaks inside. A number that the format keeps apart from the text
            (Word auto-numbering, a column of numbers in a table) stands in front of it, as printed.
        heading: 1–6 where the format itself marks a heading of that level (`<h2>`, `##`, a Word heading style), else 0.
    """

    text: str
    heading: int = 0
