"""Why a reader gives a file up, before the path is known; `read_lines` turns each into the user's `InputError`."""

from __future__ import annotations


class ReaderError(Exception):
    """Base: `str()` says what is wrong and what to do, without the path."""


class Damaged(ReaderError):
    """Broken, hostile, or not what it should be."""


class Locked(ReaderError):
    """Asks for a password."""


class Oversized(ReaderError):
    """Passes a limit."""


class Textless(ReaderError):
    """Holds no text: pictures of pages, or nothing."""
