"""JSON Lines: the rows as they are, one to a line; the format that other tools and `yaodian evaluate` read back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

from train.rows import Row, dump_row
from train.taxonomy import Taxonomy


class JsonLines:
    """Rows in UTF-8; inputs that failed are not part of the data and are left out."""

    def __init__(self, out: BinaryIO, taxonomy: Taxonomy | None, title: str) -> None:
        self._out = out

    def add(self, rows: Sequence[Row]) -> None:
        """Writes rows."""
        self._out.writelines((dump_row(row) + "\n").encode() for row in rows)

    def finish(self, failures: Sequence[tuple[str, str]]) -> None:
        """Nothing follows the last row."""

    def abandon(self) -> None:
        """Holds nothing."""
