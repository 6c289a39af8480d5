"""What tagging a folder costs by the number of its plans: plans a second, and the memory of the job and its readers together.

    python scripts/bench_job.py [--plans 100 1000 10000] [--items N] [--suffix .jsonl] [--workers N] [--model DIR] [--keep FOLDER]

Plans are the starter corpus as text, numbered through; every one differs from the others in its numbers, so that no item is there twice. With --items
only the first N items of each are kept.
Each size is a fresh process with the shipped tagger. Memory is what the processes hold together (PSS on Linux, else RSS), sampled ten
times a second; the peak is told for the whole job and once more for its second half, which a leak would raise.
"""

from __future__ import annotations

import argparse
import itertools
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from train import resources
from train.plans.plan import outline_text
from train.rows import read_rows


def main() -> None:
    """Prints a line for each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plans", type=int, nargs="+", default=[100, 1_000, 10_000])
    parser.add_argument("--items", type=int, help="at most so many items of a plan")
    parser.add_argument("--suffix", default=".jsonl", help="format of the output")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--model", help="another bundle than the shipped one")
    parser.add_argument(
        "--keep", type=Path, help="where the plans and outputs go; a folder that is deleted if left out"
    )
    arguments = parser.parse_args()
    print("  plans  plans/s  CPU ms/plan  peak MiB  second half", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for n in arguments.plans:
            plans = write_plans((arguments.keep or Path(folder)) / str(n), n, arguments.items)
            line = [sys.executable, "-m", "train.cli", "tag", str(plans), "-o", f"{plans}{arguments.suffix}"]
            line += ["--workers", str(arguments.workers)] if arguments.workers else []
            line += ["--model", arguments.model] if arguments.model else []
            seconds, cpu, peak, later = watch(line)
            print(f"{n:7,} {n / seconds:8.1f} {1000 * cpu / n:12.1f} {peak:9.0f} {later:12.0f}", flush=True)


def write_plans(folder: Path, n: int, n_items: int | None) -> Path:
    """Writes n plans, a thousand to a folder."""
    texts = [starter_text(path, n_items) for path in sorted(resources.resource("data/starter").glob("p*.jsonl"))]
    for at, text in zip(range(n), itertools.cycle(texts), strict=False):
        place = folder / f"{at // 1000:03}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{at:06}.txt").write_text(renumbered(text, at), encoding="utf-8")
    return folder


def starter_text(path: Path, n_items: int | None) -> str:
    """A plan of the starter corpus as it would be printed."""
    rows = read_rows(path)[:n_items]
    return outline_text(rows[0]["title"], [(r["number"], r["path"], r["text"], r["units"]) for r in rows])


def renumbered(text: str, at: int) -> str:
    """The plan with a figure of its own at the end of every item."""
    return re.sub(r"(?<=[^、.．)）\d])。", f",全年完成{at + 100}件。", text)


def watch(line: list[str]) -> tuple[float, float, float, float]:
    """Runs a command: (seconds, CPU seconds, peak MiB of it and its children, peak MiB of its second half)."""
    began, cpu = time.monotonic(), cpu_of_children()
    samples: list[float] = []
    with subprocess.Popen(line) as process:
        while process.poll() is None:
            samples.append(memory(process.pid))
            time.sleep(0.1)
    if process.returncode:
        sys.exit(f"{' '.join(line)}: exit code {process.returncode}")
    return time.monotonic() - began, cpu_of_children() - cpu, max(samples), max(samples[len(samples) // 2 :])


def cpu_of_children() -> float:
    """CPU seconds of all processes that have ended below this one; tells more than the clock on a busy machine."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def memory(pid: int) -> float:
    """MiB held by a process and its children."""
    total = 0
    try:
        job = psutil.Process(pid)
        for process in (job, *job.children(recursive=True)):
            info = process.memory_full_info()
            total += getattr(info, "pss", info.rss)
    except psutil.NoSuchProcess:
        pass
    return total / (1 << 20)


if __name__ == "__main__":
    main()
