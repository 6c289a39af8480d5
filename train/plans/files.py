"""Files in: which ones a path stands for, and the paragraphs of each, whatever its format."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from train.errors import BrokenFile, EncryptedFile, InputError, NoText, TooLarge, UnsupportedFormat
from train.plans.formats import signatures
from train.plans.formats.refusals import Damaged, Locked, Oversized, ReaderError, Textless
from train.plans.formats.word_package import TO_UNLOCK
from train.plans.lines import Line

_KINDS = {
    ".txt": "text", ".md": "markdown", ".html": "html", ".htm": "html", ".mhtml": "mhtml", ".mht": "mhtml",
    ".docx": "docx", ".pdf": "pdf",
}  # fmt: skip
SUFFIXES: tuple[str, ...] = tuple(_KINDS)
MAX_BYTES = 64 << 20  # a plan with its scanned annexes has 20 MiB; reading takes some ten times the size in memory
_LITTER = frozenset(("thumbs.db", "desktop.ini"))  # of Windows; hidden files and `~$` locks are passed over as well
# A page or a Word file under these names is read for what it is: old web exports are called .doc.
_ALIASES = frozenset((".doc", ".wps", ".rtf", ".xls"))
_ERRORS: dict[type[ReaderError], type[InputError]] = {
    Damaged: BrokenFile,
    Locked: EncryptedFile,
    Oversized: TooLarge,
    Textless: NoText,
    ReaderError: InputError,
}


@dataclass(frozen=True, slots=True)
class Found:
    """A file to read.

    Attributes:
        path: where it is.
        name: how rows name it: relative to the folder that was given, with `/`; of several with one name all but the first have the folders above before it.
    """

    path: Path
    name: str


def find_files(paths: Sequence[Path]) -> Iterator[Found]:
    """The files that paths stand for, each once: a file itself, a folder all it holds, at any depth, sorted.

    Files that no reader takes are found, too, so that reading them says what to do. Hidden files, lock files of
    Office and the litter of desktops are passed over. No more than one folder's names are held at a time.

    Raises:
        InputError: for a path that is not there or cannot be listed, or a folder without a file that can be read.
    """
    several = len(paths) > 1  # one folder lists nothing twice, and gives no name twice
    seen: set[str] = set()
    names: set[str] = set()
    for path in map(Path, paths):
        if not path.is_dir() and not path.exists():
            raise InputError(path, "no such file or folder")
        for each in _in_folder(path) if path.is_dir() else [Found(path, _readable_name(path.name))]:
            if several:
                if (place := os.path.abspath(each.path)) in seen:  # noqa: PTH100  # links stay what they are
                    continue
                seen.add(place)
                each = Found(each.path, _new_name(each.name, Path(place), names))
                names.add(each.name)
            yield each


def _new_name(name: str, place: Path, names: set[str]) -> str:
    """The name, or as much of the path as tells the file from those that have it: townships all send a `工作要点.docx`."""
    n_parts = len(Path(name).parts)
    while name in names and n_parts < len(place.parts):
        n_parts += 1
        name = _readable_name(Path(*place.parts[-n_parts:]).as_posix())
    return name


def _in_folder(folder: Path) -> Iterator[Found]:
    others: Counter[str] | None = Counter()  # None once there is a file to read
    for path in _walk(folder):
        if path.suffix.lower() in _KINDS:
            others = None
        elif others is not None:
            others[path.suffix.lower() or "no extension"] += 1
        yield Found(path, _readable_name(path.relative_to(folder).as_posix()))
    if others is None:
        return
    there = "; there are only " + ", ".join(f"{n} × {suffix}" for suffix, n in others.most_common(5)) if others else ""
    advice = next((signatures.ADVICE[suffix] for suffix, _ in others.most_common() if suffix in signatures.ADVICE), "")
    raise InputError(
        folder, f"no file to read in it: looked for {' '.join(SUFFIXES)}{there}{f' ({advice})' if advice else ''}"
    )


def _walk(folder: Path) -> Iterator[Path]:
    """The files below a folder, sorted by their names in it; links are followed, each real folder once.

    A folder in it that cannot be listed is given in place of its files, so that reading it says why, and the others go on.
    """
    seen = {os.path.realpath(folder)}
    open_folders = [(folder, iter(_names(folder)))]
    while open_folders:
        at, names = open_folders[-1]
        if (name := next(names, None)) is None:
            open_folders.pop()
        elif not name.endswith("/"):
            yield at / name
        elif (real := os.path.realpath(at / name)) not in seen:
            seen.add(real)
            try:
                open_folders.append((at / name, iter(_names(at / name))))
            except InputError:
                yield at / name


def _names(folder: Path) -> list[str]:
    """What a folder holds; folders end in `/` and are sorted with it, which sorts whole paths without holding them."""
    try:
        with os.scandir(folder) as entries:
            names = [each.name + "/" * _is_folder(each) for each in entries if not _is_litter(each.name)]
    except OSError as error:
        raise InputError(folder, f"cannot be listed: {_said(error)}") from error
    return sorted(names, key=_readable_name)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself; reading it will say so
        return False


def _is_litter(name: str) -> bool:
    return name.startswith((".", "~$")) or name.lower() in _LITTER


def _readable_name(name: str) -> str:
    """The name in valid Unicode: archives packed on Chinese Windows leave names in GB18030 on other systems."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return os.fsencode(name).decode("gb18030", "replace")
    return name


def read_lines(path: Path) -> list[Line]:
    """The paragraphs of a file, in reading order, by what the file is rather than by what it is called.

    Raises:
        InputError: for a file that cannot be read; its subclasses say why: UnsupportedFormat, BrokenFile,
            EncryptedFile, NoText, TooLarge.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in _KINDS and suffix not in _ALIASES and (path.is_file() or not path.exists()):
        raise UnsupportedFormat(path, _advice(suffix))
    raw = _read(path)
    try:
        lines = _lines(raw, path, suffix)
    except ReaderError as fault:
        error = next(error for kind, error in _ERRORS.items() if isinstance(fault, kind))
        raise error(path, " ".join(str(fault).split())) from fault
    except InputError:
        raise
    except MemoryError as error:
        raise TooLarge(path, "needs more memory than there is: split it, or remove its pictures") from error
    except Exception as error:  # a third-party parser on a file from a stranger: one bad file must not end a batch
        detail = " ".join(str(error).split())[:200]
        raise BrokenFile(
            path, f"damaged: its reader failed ({type(error).__name__}{f': {detail}' if detail else ''})"
        ) from error
    if not lines:
        raise NoText(path, "no text in it; if it holds pictures of pages, run OCR on it first")
    return lines


def _advice(suffix: str) -> str:
    known = signatures.ADVICE.get(suffix)
    if known:
        return known if known[0].isupper() or known.startswith(("a ", "an ")) else f"{suffix} is not read: {known}"
    return f"{suffix or 'a file without extension'} is not read; what is: {' '.join(SUFFIXES)}"


def _read(path: Path) -> bytes:
    try:
        if path.is_dir():
            _names(path)  # says so where it cannot be listed
            raise InputError(path, "a folder, not a file")
        if path.exists() and not path.is_file():
            raise InputError(path, "not a regular file")
        size = path.stat().st_size
        if size > MAX_BYTES:
            limit = f"{size / (1 << 20):,.1f} MiB, more than the {MAX_BYTES / (1 << 20):,.0f} MiB read"
            raise TooLarge(path, f"{limit}: split it, or remove its pictures")
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(path, f"cannot be read: {_said(error)}") from error
    except ValueError as error:  # a NUL in the name
        raise InputError(path, "no such file or folder") from error
    if not raw.strip(b"\0 \t\r\n"):
        raise NoText(path, "an empty file" if not raw else "an empty file: nothing but blanks")
    return raw


def _said(error: OSError) -> str:
    return (
        "no such file or folder" if isinstance(error, FileNotFoundError) else (error.strerror or type(error).__name__)
    )


def _lines(raw: bytes, path: Path, suffix: str) -> list[Line]:
    kind = signatures.kind_by_bytes(raw)
    if kind is None:
        return _text_like(raw, path, suffix)
    if kind == "encrypted":
        raise EncryptedFile(path, TO_UNLOCK)
    if kind == "docx":
        from train.plans.formats.word import read_docx

        return read_docx(raw)
    if kind == "pdf":
        from train.plans.formats.pdf import read_pdf

        return read_pdf(raw)
    if kind == "mhtml":
        from train.plans.formats.mhtml import read_mhtml

        return read_mhtml(raw)
    raise UnsupportedFormat(path, f"is not what its name says but {kind}" if suffix in _KINDS else _advice(suffix))


def _text_like(raw: bytes, path: Path, suffix: str) -> list[Line]:
    """Bytes without a signature: text, Markdown, a page; or the wreck of something else."""
    from train.plans.formats.encoding import NotText, decode
    from train.plans.formats.web import declared_charset

    named = _KINDS.get(suffix, "other")
    try:
        text = decode(raw, declared_charset(raw))
        kind = signatures.kind_of_text(text, "html" if named == "mhtml" else named)
    except NotText:
        if named not in ("docx", "pdf", "other"):
            raise
        kind = named
    if kind == "html":
        from train.plans.formats.web import html_lines

        return html_lines(text)
    if kind == "markdown":
        from train.plans.formats.markdown import markdown_lines

        return markdown_lines(text)
    if kind == "text":
        from train.plans.formats.text import text_lines

        return text_lines(text)
    if kind in ("docx", "pdf"):
        raise BrokenFile(path, f"not a {suffix} file, or damaged: copy or download it again")
    raise UnsupportedFormat(path, _advice(suffix) if kind == "other" else kind)
