"""Output files of item rows: .jsonl, .csv, .xlsx, .parquet and .html, each written row by row and each complete or not there at all.

`open_writer` picks the format by the file's extension. A format is a class that takes the open file, the taxonomy and a title, and has
`add`, `finish` and `abandon`; `FORMATS` lists them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, Self

from train.errors import OutputError, shown
from train.rows import Row
from train.tagging.writers.delimited import Delimited
from train.tagging.writers.excel import Excel
from train.tagging.writers.jsonl import JsonLines
from train.tagging.writers.page import Page
from train.tagging.writers.parquet import Parquet
from train.tagging.writers.part import PartFile, reported
from train.taxonomy import Taxonomy

__all__ = ["FORMATS", "Writer", "open_writer"]


class Format(Protocol):
    """One output format, writing to an open file."""

    def __init__(self, out: BinaryIO, taxonomy: Taxonomy | None, title: str) -> None: ...

    def add(self, rows: Sequence[Row]) -> None:
        """Writes rows of one plan."""

    def finish(self, failures: Sequence[tuple[str, str]]) -> None:
        """Writes what comes after the last row."""

    def abandon(self) -> None:
        """Lets go of what the format holds; the file will be deleted."""


FORMATS: dict[str, type[Format]] = {
    ".jsonl": JsonLines,
    ".csv": Delimited,
    ".xlsx": Excel,
    ".parquet": Parquet,
    ".html": Page,
}


def open_writer(path: str | Path, taxonomy: Taxonomy | None, *, title: str = "", place: Path | None = None) -> Writer:
    """Chooses the format by the extension of `path`; nothing is created before the `with` block is entered.

    Args:
        path: the output; an existing file is replaced when the block ends well.
        taxonomy: the themes that get columns; None leaves theme and score columns out.
        title: heading of the page and property of the workbook.
        place: where the file is while it is unfinished, on the same disk.

    Raises:
        OutputError: unknown extension, or a path that cannot become a file.
    """
    path = Path(path)
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        *others, last = FORMATS
        given = f"unknown format {path.suffix}" if path.suffix else "no extension tells the format"
        raise OutputError(f"{shown(path)}: {given}; name the output {', '.join(others)} or {last}")
    with reported(path):
        if path.is_dir():
            raise OutputError(f"{shown(path)}: is a folder; give the name of a file in it")
        if not path.parent.is_dir():
            raise OutputError(
                f"{shown(path)}: the folder {shown(path.parent)} does not exist; create it or choose another"
            )
    return Writer(path, kind, taxonomy, title, place)


class Writer:
    """Takes the rows of one plan after another, in a `with` block.

    When the block ends well, the file appears under its name in one step. When it ends in an exception, or the disk is full, nothing
    is left behind and a file of that name stays as it was.

    Attributes:
        path: where the file appears.
        failures: (file, reason) of inputs that could not be read; .xlsx and .html show them.
    """

    def __init__(
        self, path: Path, kind: type[Format], taxonomy: Taxonomy | None, title: str, place: Path | None = None
    ) -> None:
        self.path = path
        self.failures: list[tuple[str, str]] = []
        self._kind, self._taxonomy, self._title, self._place = kind, taxonomy, title, place
        self._part: PartFile | None = None
        self._format: Format | None = None

    def __enter__(self) -> Self:
        with reported(self.path):
            self._part = PartFile(self.path, self._place)
            try:
                self._format = self._kind(self._part.file, self._taxonomy, self._title)
            except BaseException:
                self._part.discard()
                raise
        return self

    def write(self, rows: Sequence[Row]) -> None:
        """Adds rows.

        Raises:
            OutputError: the disk is full, or the folder is gone.
            ValueError: the writer is used outside its `with` block.
        """
        if self._format is None:
            raise ValueError("a writer takes rows inside its `with` block only")
        with reported(self.path):
            self._format.add(rows)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        form, part = self._format, self._part
        self._format = self._part = None
        if form is None or part is None:
            return
        done = False
        try:
            if kind is None:
                with reported(self.path):
                    form.finish(self.failures)
                    part.commit()
                done = True
        finally:
            if not done:
                form.abandon()
                part.discard()
