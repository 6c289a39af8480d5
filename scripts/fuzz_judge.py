"""Reads one damaged file in this process and says what was wrong with the reading; `fuzz_readers.py` has the rules."""

from __future__ import annotations

import contextlib
import os
import resource
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import train.plans
from train.errors import InputError

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_HARM = (
    "socket.connect",
    "socket.bind",
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.remove",
    "os.rename",
    "os.mkdir",
    "shutil.",
)


class Watch:
    """What one process does besides reading; audit hooks cannot be taken away again, so there is one per process."""

    def __init__(self) -> None:
        self.on = False
        self.seen: list[str] = []
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITES:
            self.seen.append(f"opens {arguments[0]} to write")
        elif event.startswith(_HARM) or event == "pickle.find_class":
            self.seen.append(event)


class Judge:
    """Reads one file after another and says what was wrong with the reading."""

    def __init__(self, folder: Path, seconds: float, mib: int) -> None:
        self._folder, self._seconds, self._mib = folder, seconds, mib
        self._watch = Watch()
        self._said = os.open(folder, os.O_TMPFILE | os.O_RDWR)
        self.slowest = 0.0

    def verdict(self, suffix: str, raw: bytes) -> tuple[str, str]:
        """(outcome, fault); an empty fault if all is well."""
        path = self._folder / f"input{suffix}"
        path.write_bytes(raw)
        begin, size = time.process_time(), os.fstat(self._said).st_size
        with self._silent():
            outcome, fault = self._read(path)
        took = time.process_time() - begin
        self.slowest = max(self.slowest, took)
        if faults := self._watch.seen:
            fault, self._watch.seen = f"harm: {faults[0]}", []
        elif os.fstat(self._said).st_size > size:
            fault = fault or f"output: {os.pread(self._said, 60, size).decode(errors='replace').strip()}"
        elif took > self._seconds:
            fault = fault or "slow"
        elif peak() > self._mib:
            fault = fault or "memory"
        return outcome, fault

    @contextlib.contextmanager
    def _silent(self) -> Iterator[None]:
        """Both standard streams go to a file, also what C libraries print."""
        kept = os.dup(1), os.dup(2)
        sys.stdout.flush()
        try:
            os.dup2(self._said, 1)
            os.dup2(self._said, 2)
            self._watch.on = True
            yield
        finally:
            self._watch.on = False
            sys.stdout.flush()
            for to, descriptor in enumerate(kept, 1):
                os.dup2(descriptor, to)
                os.close(descriptor)

    def _read(self, path: Path) -> tuple[str, str]:
        try:
            train.plans.read_plan(path)  # looked up late: atheris imports it a second time
        except InputError as error:
            said = str(error)
            if not said.startswith(f"{path}: ") or len(said.splitlines()) != 1:
                return "error", f"message: {said[:80]!r}"
            if "its reader failed" in said or isinstance(error.__cause__, MemoryError):
                return "error", "caught last: " + place(error.__cause__)
            return type(error).__name__, ""
        except Exception as error:  # what the fuzzer is for
            return "error", "escaped: " + place(error)
        return "read", ""


def place(error: BaseException | None) -> str:
    """An exception and where it came from."""
    if error is None:
        return "?"
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno} {last.name}"


def peak() -> int:
    """MiB that this process had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
