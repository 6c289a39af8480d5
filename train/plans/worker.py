"""A process that reads files one after another, told on stdin and answering on stdout, one JSON object a line.

It stands between a stranger's file and the job: a reader that crashes, hangs or eats the memory takes this process with it and nothing
else. It ends when its stdin does, so that none outlives a job that was killed. JSON and no pickle: what a hostile file might make of this
process cannot run code in the one that listens.
"""

from __future__ import annotations

import contextlib
import faulthandler
import hashlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, BinaryIO

from train.errors import InputError, NoText, TooLarge, shown
from train.plans.files import MAX_BYTES, Found
from train.plans.plan import Plan, read_plan
from train.plans.repair import Repairs

# Address space of one reader. The largest file that is read has 64 MiB, and reading takes some ten times a file's size.
MEMORY = 2 << 30
_TO_SHRINK = "split it, or remove its pictures"
_NO_ITEMS = "no items found in it"
_WHY = "; `yaodian items --skipped` shows what its lines were taken for"


def main() -> None:
    """Reads what stdin asks for until it ends."""
    _limit_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the job stops its readers itself
    answers = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)  # what a library prints is no answer
    try:
        _put(answers, {})
        os.dup2(nowhere, 2)  # and a library's last words are not the one line that a file gets
        for line in sys.stdin.buffer:
            task = json.loads(line)
            faulthandler.dump_traceback_later(task["timeout"], exit=True, file=nowhere)  # needs no GIL
            answer = _answer(task)
            faulthandler.cancel_dump_traceback_later()
            _put(answers, answer)
    except BrokenPipeError:  # nobody listens any more
        os._exit(0)


def content_digest(path: Path) -> str:
    """SHA-256 of a file that can be read as a plan; "" where it cannot be had."""
    try:
        if not path.is_file() or path.stat().st_size > MAX_BYTES:
            return ""
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError):
        return ""


def plan_with_items(file: Found) -> Plan:
    """Reads one file of a batch.

    Raises:
        InputError: it cannot be read, or no line of it became an item.
    """
    plan = read_plan(file.path, name=file.name)
    if not plan.items:
        raise NoText(file.path, _NO_ITEMS + _WHY)
    return plan


def _answer(task: dict[str, Any]) -> dict[str, Any]:
    path = Path(task["path"])
    # Before the file is read: should it change meanwhile, the digest is of the old content and the file is read again.
    digest = content_digest(path)
    try:
        try:
            plan = read_plan(path, name=task["name"], repairs=Repairs.without(set(task["without"])))
            rows = plan.rows()
        except MemoryError as error:
            raise TooLarge(path, f"needs more than {MEMORY >> 20:,} MiB of memory: {_TO_SHRINK}") from error
    except InputError as error:
        return {"failure": error.reason}
    except Exception as error:  # a fault of ours on one strange file must not end a batch of ten thousand
        return {"failure": f"its reader failed ({type(error).__name__}: {' '.join(str(error).split())[:200]})"}
    notes = []
    if task["skipped"]:
        name = shown(plan.name)
        notes = [f"{name}: {len(plan.items)} items; repaired lines: {plan.repairs}"]
        notes += [f"{name}:{number}: {role}: {text[:60]}" for number, role, text in plan.skipped]
    if not plan.items:
        return {"failure": _NO_ITEMS if task["skipped"] else _NO_ITEMS + _WHY, "notes": notes}
    return {"digest": digest, "rows": rows, "notes": notes}


def _limit_memory() -> None:
    """Windows has no such limit, macOS does not keep it; there the limits on time and on a file's size stand alone."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))


def _put(answers: BinaryIO, answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer).encode() + b"\n")
    answers.flush()
