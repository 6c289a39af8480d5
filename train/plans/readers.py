"""Reading many files in worker processes, each file under a limit of time and memory, none able to spoil another.

`multiprocessing` would import the caller's main module again in every worker (the command line, a third of a second) and its executor
breaks as a whole when one worker dies; `pebble` survives that, at the price of the same import. What is needed is small: a process and two
pipes for each worker, and a thread that waits for it.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from types import TracebackType
from typing import Any, Self

from train.errors import YaodianError
from train.plans.files import Found

TIMEOUT = 60.0  # s
_MOST_WORKERS = 8  # each takes some 60 MiB, and the tagger keeps no more than that busy
_START = "import sys; sys.path[:] = sys.argv[1:]; from train.plans.worker import main; main()"
_OVERDUE = 1  # exit code of a worker that faulthandler ends


def default_workers() -> int:
    """As many readers as the process may use cores, up to eight."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, _MOST_WORKERS))


@dataclass(slots=True)
class Reading:
    """What became of one file.

    Attributes:
        at: its number in the job.
        rows: item rows; empty if it failed.
        digest: SHA-256 of its content.
        failure: why it could not be read, without its name; "" if it could.
        notes: lines of `--skipped`.
    """

    at: int
    file: Found
    rows: list[dict[str, Any]] = field(default_factory=list)
    digest: str = ""
    failure: str = ""
    notes: list[str] = field(default_factory=list)


class Readers:
    """A pool of readers, in a `with` block; they start at once and in the background.

    Args:
        n: how many processes.
        timeout: seconds that one file may take.
        without: repair steps to leave out.
        skipped: whether readings carry notes.
    """

    def __init__(self, n: int, timeout: float = TIMEOUT, without: Iterable[str] = (), skipped: bool = False) -> None:
        self._order = {"timeout": timeout, "without": sorted(without), "skipped": skipped}
        self._tasks: queue.Queue[tuple[int, Found] | None] = queue.Queue()
        self._results: queue.Queue[Reading | Exception] = queue.Queue()
        self._workers = [_Worker() for _ in range(n)]
        self._threads = [
            threading.Thread(target=self._serve, args=(w,), name="reader", daemon=True) for w in self._workers
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        for worker in self._workers:
            self._tasks.put(None)
            worker.stop()
        for thread in self._threads:
            thread.join()

    def read(self, files: Iterable[tuple[int, Found]]) -> Iterator[Reading]:
        """Reads files; readings come as they are ready, in no certain order.

        No more than twice as many files are under way as there are workers, so that a slow consumer holds few plans.

        Raises:
            YaodianError: workers cannot be started.
        """
        source = iter(files)
        under_way = 0
        for file in islice(source, 2 * len(self._workers)):
            self._tasks.put(file)
            under_way += 1
        while under_way:
            result = self._next()
            if isinstance(result, Exception):
                raise result
            if (file_ := next(source, None)) is None:
                under_way -= 1
            else:
                self._tasks.put(file_)
            yield result

    def _next(self) -> Reading | Exception:
        while True:
            with contextlib.suppress(queue.Empty):
                return self._results.get(timeout=1)  # Windows heeds Ctrl-C only between waits

    def _serve(self, worker: _Worker) -> None:
        """One worker's thread: starts it, and again when it died."""
        try:
            worker.start()
            while (task := self._tasks.get()) is not None:
                at, file = task
                answer = worker.ask({"path": str(file.path), "name": file.name, **self._order})
                self._results.put(Reading(at, file, **answer))
        except _Closed:
            pass
        except Exception as error:
            self._results.put(error)
        finally:
            worker.free()


class _Closed(Exception):
    """The job is over; a worker that was ended tells no fault of a file."""


class _Worker:
    """One process, started anew after a death."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False
        self._lock = threading.Lock()

    def start(self) -> None:
        """Starts the process and waits until it is ready.

        Raises:
            YaodianError: it cannot be started.
        """
        with self._lock:
            if self._closed:
                raise _Closed
            try:
                self._process = subprocess.Popen(  # noqa: S603
                    [sys.executable, "-c", _START, *sys.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
                )
            except OSError as error:
                raise YaodianError(f"a reader cannot be started ({error.strerror}); give fewer --workers") from error
        if not self._line():
            self._check_open()
            raise YaodianError("a reader ended before it began; give fewer --workers, or install yaodian anew")

    def ask(self, task: dict[str, Any]) -> dict[str, Any]:
        """The answer, or a failure when the process died over it."""
        if self._process is None:
            self.start()
        if self._process is None or self._process.stdin is None:
            raise _Closed
        began = time.monotonic()
        with contextlib.suppress(OSError):
            self._process.stdin.write(json.dumps(task).encode() + b"\n")
            self._process.stdin.flush()
        line = self._line()
        if line.endswith(b"\n"):
            answer: dict[str, Any] = json.loads(line)
            return answer
        self._check_open()
        code = self._process.wait()
        self.free()
        if code == _OVERDUE and time.monotonic() - began >= task["timeout"]:
            return {"failure": f"took more than {task['timeout']:g} s to read; --timeout gives it more"}
        return {"failure": f"its reader died ({_death(code)}): open it in its program and save it anew"}

    def stop(self) -> None:
        """Ends the process for good, also in the middle of a file; called from another thread."""
        with self._lock:
            self._closed = True
            if (process := self._process) is not None:
                process.kill()

    def free(self) -> None:
        """Frees the process and its pipes."""
        if (process := self._process) is not None:
            process.kill()
            process.communicate()
            self._process = None

    def _line(self) -> bytes:
        if self._process is None or self._process.stdout is None:
            raise _Closed
        return self._process.stdout.readline()

    def _check_open(self) -> None:
        if self._closed:
            raise _Closed


def _death(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"{name}, perhaps for want of memory" if name == "SIGKILL" else name
