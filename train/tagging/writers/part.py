"""A file that appears under its name in one step, and the messages when it cannot."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from train.errors import OutputError, shown

# Names may have 255 bytes; a Chinese character takes three, and the mark of an unfinished file needs room too.
_KEPT_OF_NAME = 40
_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}


class PartFile:
    """An unfinished file on the disk of its target.

    A link is followed, so that the file it points to is replaced and the link stays.

    Args:
        target: where the file appears.
        place: where it is unfinished; `.{name}.{random}.part` beside the target if left out.

    Attributes:
        file: open for binary writing.

    Raises:
        OSError: the folder cannot be written, or the target is read-only or held open by another program.
    """

    def __init__(self, target: Path, place: Path | None = None) -> None:
        self._target = Path(os.path.realpath(target))
        self._mode = None
        if self._target.exists():
            # Windows refuses a file that Excel holds open: better told now than after an hour of tagging.
            with self._target.open("r+b"):
                self._mode = stat.S_IMODE(self._target.stat().st_mode)
        self._path = place or self._target.with_name(f".{target.name[:_KEPT_OF_NAME]}.{secrets.token_hex(4)}.part")
        # Not `tempfile`: its mode 0600 would hide the result from colleagues on a shared folder.
        self.file = self._path.open("wb" if place else "xb")

    def commit(self) -> None:
        """Puts the file, safe on disk, under its name."""
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()
        if self._mode is not None:
            self._path.chmod(self._mode)
        self._path.replace(self._target)

    def discard(self) -> None:
        """Deletes the unfinished file."""
        with contextlib.suppress(OSError):  # a full disk refuses the last flush too
            self.file.close()
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)


@contextlib.contextmanager
def reported(path: Path) -> Iterator[None]:
    """Turns a fault of the disk into one line that names the output and says what to do.

    Raises:
        OutputError: for any OSError inside the block.
    """
    try:
        yield
    except OSError as error:
        raise OutputError(f"{shown(path)}: cannot be written, {_advice(error)}") from error


def _advice(error: OSError) -> str:
    if error.errno in _FULL:
        return "the disk is full; free some space or choose another disk"
    if isinstance(error, PermissionError):
        return "no permission, or the file is open in another program; close it there or choose another name or folder"
    if error.errno == errno.ENAMETOOLONG:
        return "the name is too long; choose a shorter one"
    return f"{error.strerror or error}; choose another name or folder"
