"""Text to pretrain on: a folder's files as documents of paragraphs, none read twice.

The text is `.txt` or `.zst` (zstandard over UTF-8), one paragraph a line, a blank line between documents; or `.jsonl`, item rows, of which labels are not read.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import zstandard

from train.errors import BrokenFile, NoText

_ROWS = ".jsonl"


@dataclass(frozen=True)
class Document:
    """Paragraphs that belong together, and the source (file name without extensions) they come from."""

    source: str
    paragraphs: tuple[str, ...]


def text_files(folder: Path) -> list[Path]:
    """The text files of a folder and its sub-folders, in order of name.

    Raises:
        NoText: there is none.
    """
    files = sorted(p for p in folder.rglob("*") if p.suffix in {".txt", ".zst", _ROWS} and p.is_file())
    if not files:
        raise NoText(folder, "no .txt, .zst or .jsonl file in this folder; give one with text.path=FOLDER")
    return files


def digest_text(folder: Path, what_for: str) -> str:
    """A name for what is made from a folder of text; `what_for` tells apart what is made in different ways."""
    digest = hashlib.blake2b(what_for.encode(), digest_size=8)
    for file in text_files(folder):
        digest.update(file.name.encode())
        with file.open("rb") as raw:
            digest.update(hashlib.file_digest(raw, "blake2b").digest())
    return digest.hexdigest()


def read_documents(folder: Path) -> Iterator[Document]:
    """All documents of a folder, without the paragraphs that came up before.

    Two paragraphs are the same if they agree in letters and Han characters; digits and punctuation do not count, so
    that a date does not make a new paragraph of a standing formula.

    Raises:
        NoText: the folder holds no text file.
        BrokenFile: a file is not UTF-8, not zstandard, or holds a line that is no item row.
    """
    seen: set[bytes] = set()
    for file in text_files(folder):
        for paragraphs in _documents_of_rows(file) if file.suffix == _ROWS else _raw_documents(file):
            fresh = tuple(p for p in paragraphs if _is_new(p, seen))
            if fresh:
                yield Document(file.name.split(".")[0], fresh)


def _is_new(paragraph: str, seen: set[bytes]) -> bool:
    letters = "".join(filter(str.isalpha, paragraph))
    key = hashlib.blake2b(letters.encode(), digest_size=8).digest()
    if not letters or key in seen:
        return False
    seen.add(key)
    return True


def _raw_documents(file: Path) -> Iterator[list[str]]:
    paragraphs: list[str] = []
    try:
        for line in _lines(file):
            if paragraph := _clean(line):
                paragraphs.append(paragraph)
            elif paragraphs:
                yield paragraphs
                paragraphs = []
    except (UnicodeDecodeError, zstandard.ZstdError) as error:
        expected = "zstandard over UTF-8 text" if file.suffix == ".zst" else "UTF-8 text"
        raise BrokenFile(file, f"expected {expected}: {error}") from error
    if paragraphs:
        yield paragraphs


def _documents_of_rows(file: Path) -> Iterator[list[str]]:
    """Headings and texts of rows that follow each other under one `plan`; a row without a plan stands alone."""
    with file.open(encoding="utf-8-sig") as lines:
        rows = (_row(file, at, line) for at, line in enumerate(lines, 1) if line.strip())
        try:
            for _, plan in itertools.groupby(rows, lambda row: row[0]):
                yield [paragraph for _, texts in plan for text in texts if (paragraph := _clean(text))]
        except UnicodeDecodeError as error:
            raise BrokenFile(file, f"expected item rows in UTF-8: {error}") from error


def _row(file: Path, at: int, line: str) -> tuple[str | int, list[str]]:
    try:
        row = json.loads(line)
        path = row.get("path") or []
        if not isinstance(path, list):
            raise TypeError
        return row.get("plan", at), [" ".join(text.split()) for text in [*path, row["text"]]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise BrokenFile(file, f"line {at}: expected an item row, a JSON object with `text`") from None


def _clean(line: str) -> str:
    # Asterisks are what crawlers leave of bold type.
    return line.replace("\ufeff", "").replace("**", "").strip()


def _lines(file: Path) -> Iterator[str]:
    with contextlib.ExitStack() as open_files:
        stream: IO[bytes] = open_files.enter_context(file.open("rb"))
        if file.suffix == ".zst":
            reader = zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True)
            stream = cast(IO[bytes], open_files.enter_context(reader))
        yield from open_files.enter_context(io.TextIOWrapper(stream, encoding="utf-8"))
