"""Plain text: paragraphs, also where a margin has broken them into printed lines."""

from __future__ import annotations

from train.plans.formats.paragraphs import margin, rejoin
from train.plans.lines import Line


def text_lines(text: str) -> list[Line]:
    """The paragraphs of a plain text.

    Args:
        text: a decoded file; `splitlines` counts form feeds and the separators of Unicode as line ends too.
    """
    printed = text.splitlines()
    return [Line(paragraph) for paragraph in rejoin(printed, margin(printed))]
