"""The journal of a tagging job: what is finished, kept beside the output until that is whole.

    .OUT.journal/plans.sqlite       finished plans, and the list of files of this run
    .OUT.journal/plans.sqlite-wal   SQLite's write-ahead log; what a kill tore off its end is dropped when it is next opened
    .OUT.journal/part               the output while it is written

One transaction for each plan, without a sync (`synchronous=NORMAL`): .25 ms a plan on this project's machine against 4.5 ms with one. A kill
loses nothing that was finished; a power cut may lose the last plans, which are then tagged again. SQLite's lock keeps a second run out, and
the system lets go of it with the process.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from train.errors import OutputError, shown
from train.plans.files import Found
from train.plans.worker import content_digest
from train.rows import Row, dump_row
from train.tagging.writers.part import reported

_LONGEST_NAME = 200  # bytes; a name may have 255 on all common disks
_SCHEMA = """
CREATE TABLE IF NOT EXISTS made_with (what TEXT PRIMARY KEY, value TEXT);
CREATE TABLE IF NOT EXISTS plans (path BLOB PRIMARY KEY, name BLOB, digest TEXT, rows BLOB);
CREATE TABLE IF NOT EXISTS files (at INTEGER PRIMARY KEY, path BLOB UNIQUE, given BLOB, name BLOB, failure TEXT);
DELETE FROM files;
-- CROSS: files stay the outer loop, and nothing has to be sorted.
CREATE TEMP VIEW finished AS
    SELECT files.at, plans.* FROM files CROSS JOIN plans ON plans.path = files.path AND plans.name = files.name;
"""


class Journal:
    """The journal of one output, in a `with` block; created or taken up on entering.

    Attributes:
        part: where the output is written until it is whole.
        n_files: files of this run.
        n_finished: how many of them were finished by an earlier run.

    Args:
        output: the output the job is for.
        made_with: what finished plans depend on besides their files, each with its value.
        restart: whether an earlier run's plans are thrown away.
    """

    def __init__(self, output: Path, made_with: Mapping[str, str], restart: bool = False) -> None:
        self.output = output
        target = Path(os.path.realpath(output))
        self._folder = target.with_name(f".{_fitting(target.name)}.journal")
        self.part = self._folder / "part"
        self.n_files = self.n_finished = 0
        self._made_with, self._restart = dict(made_with), restart

    def __enter__(self) -> Self:
        """Opens and locks it.

        Raises:
            OutputError: another run holds it, it cannot be written, or its plans were made with something else.
        """
        with reported(self.output):
            is_new = not self._folder.exists()
            self._folder.mkdir(exist_ok=True)
        try:
            with self._faults(), reported(self.output):
                self._open_whole()
                self._check()
        except OutputError:
            if is_new:
                self._delete()
            raise
        return self

    def _open_whole(self) -> None:
        try:
            self._open()
        except sqlite3.DatabaseError as error:
            if not (self._restart and _is_damage(error)):
                raise
            self._delete()
            self._folder.mkdir(exist_ok=True)
            self._open()

    def _open(self) -> None:
        file = self._folder / "plans.sqlite"
        if not file.exists():
            file.with_name("plans.sqlite-wal").unlink(missing_ok=True)
        self._database = sqlite3.connect(file, timeout=0, isolation_level=None)
        try:
            for setting in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=NORMAL"):
                self._database.execute(f"PRAGMA {setting}")
            self._database.executescript(f"BEGIN;{_SCHEMA}COMMIT")
        except BaseException:
            self._database.close()
            raise

    def _check(self) -> None:
        if self._restart:
            self._database.executescript("BEGIN; DELETE FROM plans; DELETE FROM made_with; COMMIT")
        before = dict(self._database.execute("SELECT what, value FROM made_with"))
        if not before:
            self._database.executemany("INSERT INTO made_with VALUES (?, ?)", self._made_with.items())
        elif other := [what for what, value in self._made_with.items() if before.get(what) != value]:
            self._database.close()
            was = ", ".join(f"{what} {before.get(what, 'unknown')} (now {self._made_with[what]})" for what in other)
            raise OutputError(
                f"{shown(self.output)}: an unfinished run was made with {was}; finish it with that, add --restart to begin anew, "
                "or give another output"
            )

    def take(self, files: Iterable[Found]) -> None:
        """Takes the files of this run, in the order of the output; finished ones that changed since are to be read again.

        Raises:
            OutputError: it cannot be written.
        """
        with self._faults(), self._transaction():
            self._database.executemany(
                "INSERT OR IGNORE INTO files (path, given, name) VALUES (?, ?, ?)",
                ((os.fsencode(f.path.absolute()), os.fsencode(f.path), _bytes(f.name)) for f in files),
            )
        with self._faults():
            finished = self._database.execute("SELECT path, digest FROM finished")
            changed = [(path,) for path, digest in finished if content_digest(Path(os.fsdecode(path))) != digest]
            with self._transaction():
                self._database.executemany("DELETE FROM plans WHERE path = ?", changed)
            self.n_files = self._count("SELECT count(*) FROM files")
            self.n_finished = self.n_kept()

    def pending(self) -> Iterator[tuple[int, Found]]:
        """The files that are to be read, with their numbers in this run."""
        at = 0
        query = (
            "SELECT at, given, name FROM files WHERE at > ? AND NOT EXISTS "
            "(SELECT 1 FROM plans WHERE plans.path = files.path AND plans.name = files.name) ORDER BY at LIMIT 1"
        )
        with self._faults():
            while row := self._database.execute(query, (at,)).fetchone():
                at, given, name = row
                yield at, Found(Path(os.fsdecode(given)), _name(name))

    def add(self, at: int, digest: str, rows: Sequence[Row]) -> None:
        """Notes a finished plan; once this returns a kill cannot lose it.

        Raises:
            OutputError: the disk is full, or the folder is gone.
        """
        lines = "\n".join(map(dump_row, rows)).encode()
        with self._faults():
            self._database.execute(
                "INSERT OR REPLACE INTO plans SELECT path, name, ?, ? FROM files WHERE at = ?",
                (digest, zlib.compress(lines, 1), at),
            )

    def fail(self, at: int, reason: str) -> None:
        """Notes a file that cannot be read; the next run tries it again."""
        with self._faults():
            self._database.execute("UPDATE files SET failure = ? WHERE at = ?", (json.dumps(reason), at))

    def plans(self) -> Iterator[list[Row]]:
        """The rows of every finished plan, in the order of the files."""
        with self._faults():
            for (rows,) in self._database.execute("SELECT rows FROM finished ORDER BY at"):
                yield [json.loads(line) for line in zlib.decompress(rows).split(b"\n")]

    def failures(self) -> list[tuple[str, str]]:
        """(name, reason) of every file that cannot be read, in the order of the files."""
        with self._faults():
            failed = self._database.execute("SELECT name, failure FROM files WHERE failure IS NOT NULL ORDER BY at")
            return [(_name(name), json.loads(reason)) for name, reason in failed]

    def n_kept(self) -> int:
        """How many plans the next run will find finished."""
        return self._count("SELECT count(*) FROM finished")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Deletes the journal when all went well, or when it holds nothing yet."""
        try:
            worthless = kind is None or not self._count("SELECT count(*) FROM plans")
        except sqlite3.Error:  # the disk is gone
            worthless = False
        with contextlib.suppress(sqlite3.Error):
            self._database.close()
        if worthless:
            self._delete()

    def _count(self, query: str) -> int:
        return int(self._database.execute(query).fetchone()[0])

    def _delete(self) -> None:
        for name in ("part", "plans.sqlite-wal", "plans.sqlite"):
            with contextlib.suppress(OSError):
                (self._folder / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._folder.rmdir()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN")
        try:
            yield
            self._database.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):  # a full disk has rolled back by itself
                self._database.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise OutputError(f"{shown(self.output)}: {_advice(error)}") from error


def _fitting(name: str) -> str:
    """The name, or what fits of it with a mark of the whole."""
    raw = os.fsencode(name)
    if len(raw) <= _LONGEST_NAME:
        return name
    kept = name[: _LONGEST_NAME // 5]  # a character takes four bytes at most
    return f"{kept}-{hashlib.sha256(raw).hexdigest()[:12]}"


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogatepass")


def _name(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogatepass")


def _is_damage(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _advice(error: sqlite3.Error) -> str:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_BUSY:
        return "another run is writing it; wait until it ends, or give another output"
    if code == sqlite3.SQLITE_FULL:
        return "the disk is full; free some space and give the same command again, which goes on from here"
    if _is_damage(error):
        return "the journal of an unfinished run is damaged; add --restart to begin anew"
    return f"its journal cannot be written ({error}); give the same command again, which goes on from here, or another output"
