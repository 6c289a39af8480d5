"""How long `label push` takes and how much memory, for more and more items of the starter corpus.

    python scripts/bench_push.py [--items 2000 20000]

The server is the one in LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY (`scripts/labelstudio start` prints both). Plans are repeated under other names,
with a number behind every text as a tagger may remember texts, until there are enough items; the projects are deleted afterwards.
"""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from train.labeling.connection import Server, find_credentials
from train.labeling.project import init_project
from train.rows import Row, stream_rows, write_rows
from train.taxonomy import Taxonomy

STARTER = Path(__file__).resolve().parent.parent / "data" / "starter"


def main() -> None:
    """Pushes, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, nargs="+", default=[2000, 20000])
    parser.add_argument("--no-prelabels", action="store_true")
    arguments = parser.parse_args()
    more = ["--no-prelabels"] if arguments.no_prelabels else []
    print("  items  seconds  peak MiB")
    with Server(find_credentials()) as server, tempfile.TemporaryDirectory() as folder:
        for n in arguments.items:
            rows = Path(folder) / f"{n}.jsonl"
            write_rows(rows, itertools.islice(repeated(), n))
            project, _ = init_project(server, f"bench {n} {time.time():.0f}", Taxonomy.load(), None)
            try:
                seconds, peak = pushed([str(rows), "--project", str(project.id), *more])
            finally:
                server.call("deleting the project", lambda c, number=project.id: c.projects.delete(number))
            print(f"{n:7}  {seconds:7.0f}  {peak:8.0f}", flush=True)


def repeated() -> Iterator[Row]:
    """The starter corpus again and again."""
    for round_ in itertools.count(1):
        for row in stream_rows(STARTER):
            yield row | {"plan": f"{row['plan']} {round_}", "text": f"{row['text']}{round_}"}


def pushed(arguments: list[str]) -> tuple[float, float]:
    """Seconds and the peak of resident memory in MiB of a push in a process of its own."""
    begun = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "train.cli", "label", "push", *arguments], stderr=subprocess.PIPE)
    said = process.stderr.read().decode() if process.stderr else ""
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(said)
    return time.monotonic() - begun, used.ru_maxrss / (1024 if sys.platform != "darwin" else 1 << 20)


if __name__ == "__main__":
    main()
