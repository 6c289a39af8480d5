"""Reads one file in a process of its own and tells what it cost and what it did besides; run as a script by `read_guarded`."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

_WATCHED = (
    "socket.",
    "subprocess.",
    "os.system",
    "os.exec",
    "os.fork",
    "os.posix_spawn",
    "os.mkdir",
    "os.rename",
    "os.remove",
    "pickle.",
)
_ADDRESS_SPACE = 6 << 30  # bytes: a reader that wants more gets a MemoryError instead of the machine


@dataclass(frozen=True)
class Reading:
    """What reading a file came to.

    Attributes:
        said: the error's one line, without the path; "" where the file was read.
        kind: the error's class.
        lines: how many lines it had.
        items: texts of the items.
        seconds: of CPU time, imports left out.
        mib: memory at most, of the whole process; Python and the readers have some 60 to 100.
        deeds: files opened for writing, connections, processes.
        printed: on either stream.
    """

    said: str
    kind: str
    lines: int
    items: list[str]
    seconds: float
    mib: int
    deeds: list[str]
    printed: str


def read_guarded(path: Path, timeout: float = 120) -> Reading:
    """The reading of one file."""
    done = subprocess.run([sys.executable, __file__, str(path)], capture_output=True, text=True, timeout=timeout)
    *printed, result = done.stdout.splitlines() or [""]
    assert done.returncode == 0, done.stderr[-600:]
    return Reading(**json.loads(result), printed="\n".join(printed) + done.stderr)


def _main(path: Path) -> None:
    from train.errors import InputError
    from train.plans import read_plan

    deeds: list[str] = []

    def hear(event: str, arguments: tuple[object, ...]) -> None:
        if event.startswith(_WATCHED):
            deeds.append(event)
        elif event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR):
            deeds.append(f"writes {arguments[0]}")

    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    result: dict[str, object] = {"said": "", "kind": "", "lines": 0, "items": []}
    sys.dont_write_bytecode = True
    sys.addaudithook(hear)
    begin = time.process_time()
    try:
        plan = read_plan(path)
        result |= {"lines": len(plan.lines), "items": [item.text[:50] for item in plan.items[:20]]}
    except InputError as error:
        result |= {"said": error.reason, "kind": type(error).__name__}
    took = time.process_time() - begin
    print(json.dumps(result | {"seconds": took, "mib": _peak(), "deeds": deeds}))


def _peak() -> int:
    """Not `ru_maxrss`, which begins at what the parent process had."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) >> 10


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
