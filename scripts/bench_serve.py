"""How much `yaodian serve` carries, and whether it loses a request while the model changes.

    python scripts/bench_serve.py [--seconds 20] [--clients 1 8 32] [--rows data/starter] [--model models/starter] [--json FIGURES.json]

Starts the server as a process of its own. Then so many clients ask for the pre-label of one task after another, as Label Studio does when annotators
open tasks, each as soon as the last was answered; beside them one asks `/health` every 50 ms, which Label Studio expects within a second. A call with 500 tasks
is timed alone and beside the other clients. Last, the clients go on while the model is swapped: the new bundle is the old one with other thresholds, and only
pulling and training, which are processes of their own, are left out.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from train.labeling import backend
from train.labeling.renewal import Renewal
from train.labeling.tasks import TaskMaker, by_plan
from train.rows import read_rows
from train.tagging import Tagger
from train.tagging import bundle as layout
from train.taxonomy import Taxonomy

ROOT = Path(__file__).resolve().parent.parent
BULK = 500  # tasks of the large call
MARK = b"#0000000"  # at the end of each text; a number in its place makes every request new to a tagger that remembers
_NUMBERS = itertools.count(1)


def main() -> None:
    """Measures, prints, stores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20, help="of each measurement")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--rows", type=Path, default=ROOT / "data" / "starter")
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "starter")
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)  # what the server's own process is started with
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.model, arguments.serve)
        return
    asked = bodies(arguments.rows, 1)
    (bulk, *_) = bodies(arguments.rows, BULK)
    found: dict[str, Any] = {"seconds": arguments.seconds, "load": []}
    with tempfile.TemporaryDirectory() as folder, started(arguments.model, Path(folder)) as port:
        load(port, asked, 4, min(2.0, arguments.seconds))  # the first calls compile
        print("clients  requests/s   p50 ms   p99 ms   max ms  slowest /health ms  errors")
        for n in arguments.clients:
            seen = load(port, asked, n, arguments.seconds)
            found["load"].append(seen.figures())
            print(
                "{clients:7}  {requests_per_s:10.1f}  {p50_ms:7.1f}  {p99_ms:7.1f}  {max_ms:7.1f}  {health_ms:18.1f}  {errors:6}".format(
                    **seen.figures()
                )
            )
        found["bulk"] = bulk_calls(port, asked, bulk, arguments)
        found["swap"] = swap(port, asked, arguments)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if any(seen["errors"] for seen in found["load"]) or found["swap"]["errors"] or found["swap"]["versions"] != 2:
        sys.exit("a request was lost")


def bulk_calls(port: int, asked: list[bytes], bulk: bytes, arguments: argparse.Namespace) -> dict[str, float]:
    """One call with 500 tasks, alone and beside the clients."""
    n = max(arguments.clients)
    times = {}
    for name, others in (("alone", 0), ("beside", n)):
        client = Client(port)
        with running(port, asked, others) as seen:
            time.sleep(0.5)
            times[f"{name}_s"] = round(client.ask(bulk)[0], 2)
        if others:
            times |= {"p99_ms_beside": seen.figures()["p99_ms"], "clients": others}
    print(
        f"\n{BULK} tasks in one call: {times['alone_s']:.2f} s alone, {times['beside_s']:.2f} s beside {n} clients, whose p99 is then {times['p99_ms_beside']:.0f} ms"
    )
    return times


def swap(port: int, asked: list[bytes], arguments: argparse.Namespace) -> dict[str, Any]:
    """The model is swapped in the midst of the load."""
    n, client = max(arguments.clients), Client(port)
    with running(port, asked, n) as seen:
        time.sleep(arguments.seconds / 3)
        client.post("/webhook", json.dumps({"action": "START_TRAINING", "project": {"id": 1}}).encode())
        while len(seen.versions) < 2 and not seen.errors and seen.age() < 120:
            time.sleep(0.05)
        time.sleep(arguments.seconds / 3)
    figures = seen.figures() | {"versions": len(seen.versions), "changes_back": seen.changes_back}
    print(
        f"swap under {n} clients: {figures['requests']} requests, {figures['errors']} errors, {figures['versions']} versions, "
        f"{figures['changes_back']} answers of the old one after a client's first of the new; p99 {figures['p99_ms']:.0f} ms, slowest {figures['max_ms']:.0f} ms"
    )
    return figures


# ── The server ────────────────────────────────────────────────────────────────────────────────────────────────────────


def serve(model: Path, folder: Path) -> None:
    """`yaodian serve` whose retraining takes no time: it changes a threshold."""

    def changed(_: Renewal, __: int) -> Tagger:
        other = folder / "other"
        shutil.copytree(model, other)
        cuts = json.loads((other / layout.THRESHOLDS).read_text(encoding="utf-8"))
        (other / layout.THRESHOLDS).write_text(json.dumps({k: v * 0.999 for k, v in cuts.items()}), encoding="utf-8")
        layout.seal(other, [p.name for p in other.iterdir() if p.name != layout.DIGESTS])
        return Tagger.load(other)

    Renewal._retrained = changed  # type: ignore[method-assign]
    backend.serve("127.0.0.1", 0, model, folder / "runs", [], 0)


@contextmanager
def started(model: Path, folder: Path) -> Iterator[int]:
    """The port of a server in a process of its own."""
    line = [sys.executable, __file__, "--model", str(model), "--serve", str(folder)]
    environment = {k: v for k, v in os.environ.items() if k != backend.SECRET}
    with subprocess.Popen(line, stderr=subprocess.PIPE, text=True, env=environment) as process:
        try:
            said = process.stderr.readline() if process.stderr else ""
            port = re.search(r"127\.0\.0\.1:(\d+)", said)
            if not port:
                sys.exit(f"the server does not start: {said}")
            yield int(port[1])
        finally:
            process.terminate()


# ── The clients ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Client:
    """One connection that stays open."""

    def __init__(self, port: int) -> None:
        self._http = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

    def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Status and body."""
        self._http.request("POST", path, body, {"Content-Type": "application/json"})
        answer = self._http.getresponse()
        return answer.status, answer.read()

    def ask(self, body: bytes) -> tuple[float, str]:
        """Seconds and the version that answered.

        Raises:
            ValueError: an answer other than one prediction for each task.
        """
        fresh = body.replace(MARK, b"#%07d" % next(_NUMBERS))
        begun = time.perf_counter()
        status, answer = self.post("/predict", fresh)
        took = time.perf_counter() - begun
        said = json.loads(answer)
        n_asked = body.count(b'"row": ')
        if status != 200 or len(said["results"]) != n_asked or not all(r["result"] for r in said["results"]):
            raise ValueError(f"{status}: {answer[:200]!r}")
        return took, said["model_version"]

    def health(self) -> float:
        """Seconds."""
        begun = time.perf_counter()
        self._http.request("GET", "/health")
        self._http.getresponse().read()
        return time.perf_counter() - begun


@dataclass
class Seen:
    """What the clients of one measurement saw."""

    clients: int
    took: list[float] = field(default_factory=list)
    healthy: list[float] = field(default_factory=list)
    versions: set[str] = field(default_factory=set)
    errors: int = 0
    changes_back: int = 0
    begun: float = field(default_factory=time.perf_counter)
    lasted: float = 0

    def age(self) -> float:
        """Seconds since it began."""
        return time.perf_counter() - self.begun

    def figures(self) -> dict[str, Any]:
        """Counts, rates and times."""
        milliseconds = np.array(self.took or [0.0]) * 1000
        p50, p99 = np.percentile(milliseconds, [50, 99])
        return {
            "clients": self.clients,
            "requests": len(self.took),
            "requests_per_s": round(len(self.took) / self.lasted, 1),
            "p50_ms": round(float(p50), 1),
            "p99_ms": round(float(p99), 1),
            "max_ms": round(float(milliseconds.max()), 1),
            "health_ms": round(max(self.healthy, default=0) * 1000, 1),
            "errors": self.errors,
        }


@contextmanager
def running(port: int, asked: list[bytes], n_clients: int) -> Iterator[Seen]:
    """So many clients ask as long as the block lasts; whatever they have asked is answered before it ends."""
    seen, over = Seen(n_clients), threading.Event()

    def ask(first: int) -> None:
        client, newest = Client(port), ""
        met = set[str]()
        for body in itertools.islice(itertools.cycle(asked), first, None):
            if over.is_set():
                return
            try:
                took, version = client.ask(body)
            except (OSError, ValueError, http.client.HTTPException) as error:
                seen.errors += 1
                print(f"client {first}: {error}", file=sys.stderr)
                client = Client(port)
                continue
            seen.took.append(took)
            seen.versions.add(version)
            seen.changes_back += version != newest and version in met
            met.add(version)
            newest = version

    def watch() -> None:
        client = Client(port)
        while not over.wait(0.05):
            seen.healthy.append(client.health())

    jobs: list[Callable[[], None]] = [watch, *(lambda n=n: ask(n * 37) for n in range(n_clients))]
    threads = [threading.Thread(target=job) for job in jobs]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        over.set()
        for thread in threads:
            thread.join()
        seen.lasted = seen.age()


def load(port: int, asked: list[bytes], n_clients: int, seconds: float) -> Seen:
    """So many clients for so long."""
    with running(port, asked, n_clients) as seen:
        time.sleep(seconds)
    return seen


def bodies(rows: Path, n_tasks: int) -> list[bytes]:
    """Requests as Label Studio sends them, with the interface, of so many tasks each."""
    maker, interface = TaskMaker(), Taxonomy.load().label_studio_interface()
    marked = [row | {"text": row["text"] + MARK.decode()} for row in read_rows(rows)[:2000]]
    found = (task for plan in by_plan(marked) for task in maker.tasks(plan))
    tasks = [{"id": at, "data": t.data, "annotations": [], "predictions": []} for at, t in enumerate(found, 1)]
    cuts = range(0, len(tasks) - n_tasks + 1, n_tasks)
    whole = {"project": "1.1", "label_config": interface, "params": {"context": None}}
    return [json.dumps({"tasks": tasks[at : at + n_tasks]} | whole).encode() for at in cuts]


if __name__ == "__main__":
    main()
