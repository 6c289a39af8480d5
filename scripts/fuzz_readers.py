"""Feeds damaged files to the readers, by the hundred thousand, and keeps those that do harm.

    python scripts/fuzz_readers.py --inputs 1000000 --jobs 2          mutations of small files, the same ones for the same --seed
    python scripts/fuzz_readers.py --engine atheris --minutes 10      guided by coverage; pip install atheris

Every file must give a plan or an InputError of one line that names it; nothing else may happen: no other exception, no output, no file
written, no process or connection, no more than --seconds of CPU time, no more than --mib of memory. Exceptions that only the last net of
`read_lines` caught ("its reader failed") count as findings too.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

sys.path.append(
    str(Path(__file__).resolve().parent.parent / "tests")
)  # the makers of damaged files serve the tests too
from fuzz_judge import Judge, peak
from mutations import KINDS, mutated

# Of twenty inputs in a row; a PDF takes as long as three texts.
_WHEEL = ["txt"] * 7 + ["html"] * 6 + ["docx"] * 4 + ["pdf"] * 3


def work(options: argparse.Namespace, job: int, at: Any, beat: Any, results: Any) -> None:
    """One process: the inputs `at`, `at + jobs`, …; what it found is put in the queue every few seconds."""
    warnings.simplefilter("always")
    resource.setrlimit(resource.RLIMIT_AS, (options.mib << 21, options.mib << 21))
    folder = Path(tempfile.gettempdir(), f"fuzz-{os.getppid()}-{job}")
    folder.mkdir(exist_ok=True)
    judge = Judge(folder, options.seconds, options.mib)
    counts: Counter[tuple[str, str]] = Counter()
    faults: list[tuple[str, str, str, bytes]] = []
    last = time.monotonic()
    while at.value < options.inputs:
        kind = options.wheel[at.value % len(options.wheel)]
        suffix, raw = mutated(kind, Random(f"{options.seed}/{kind}/{at.value}"))
        beat.value = time.monotonic()
        outcome, fault = judge.verdict(suffix, raw)
        at.value += options.jobs
        counts[kind, outcome] += 1
        if fault:
            faults.append((kind, fault, suffix, raw))
        if time.monotonic() - last > 2 or at.value >= options.inputs:
            results.put((dict(counts), faults, judge.slowest, peak()))
            counts.clear()
            faults, last = [], time.monotonic()


class Run:
    """All processes of one run, what they found, and the folder for the files that do harm."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.counts: Counter[tuple[str, str]] = Counter()
        self.faults: Counter[tuple[str, str]] = Counter()
        self.slowest, self.peak, self.begin = 0.0, 0, time.monotonic()

    def mutations(self) -> None:
        """Runs until the inputs or the minutes are used up; a process that hangs or dies is started again behind its input."""
        context = multiprocessing.get_context("fork")
        results = context.Queue()
        ats = [context.Value("q", job, lock=False) for job in range(self.options.jobs)]
        beats = [context.Value("d", time.monotonic(), lock=False) for _ in ats]
        start = lambda job: context.Process(target=work, args=(self.options, job, ats[job], beats[job], results))  # noqa: E731
        processes = [start(job) for job in range(self.options.jobs)]
        for process in processes:
            process.start()
        while any(process.is_alive() for process in processes) and not self._over():
            time.sleep(0.5)
            self._drain(results)
            for job, process in enumerate(processes):
                hangs = process.is_alive() and time.monotonic() - beats[job].value > self.options.patience
                if hangs or process.exitcode not in (None, 0):
                    process.kill()
                    process.join()
                    self._lost(job, "hangs" if hangs else f"dies: {process.exitcode}", ats[job].value)
                    ats[job].value += self.options.jobs
                    beats[job].value = time.monotonic()
                    processes[job] = start(job)
                    processes[job].start()
        time.sleep(0.5)
        self._drain(results)
        for process in processes:
            process.kill()

    def _over(self) -> bool:
        return bool(self.options.minutes) and time.monotonic() - self.begin > 60 * self.options.minutes

    def _lost(self, job: int, fault: str, at: int) -> None:
        kind = self.options.wheel[at % len(self.options.wheel)]
        suffix, raw = mutated(kind, Random(f"{self.options.seed}/{kind}/{at}"))
        self.note(kind, fault, suffix, raw)

    def _drain(self, results: Any) -> None:
        while not results.empty():
            counts, faults, slowest, mib = results.get()
            self.counts.update(counts)
            self.slowest, self.peak = max(self.slowest, slowest), max(self.peak, mib)
            for fault in faults:
                self.note(*fault)

    def note(self, kind: str, fault: str, suffix: str, raw: bytes) -> None:
        """Counts a fault; the first files that show it are kept."""
        self.faults[kind, fault] += 1
        if (n := self.faults[kind, fault]) <= 3:
            name = "".join(c if c.isalnum() else "-" for c in fault)[:80]
            self.options.folder.mkdir(parents=True, exist_ok=True)
            (self.options.folder / f"{kind}-{name}-{n}{suffix}").write_bytes(raw)

    def report(self) -> None:
        """Prints the counts, the faults and the figures."""
        took = time.monotonic() - self.begin
        for kind in KINDS:
            said = {outcome: n for (of, outcome), n in sorted(self.counts.items()) if of == kind}
            if said:
                print(
                    f"{kind}: {sum(said.values()):,} inputs; " + ", ".join(f"{name} {n:,}" for name, n in said.items())
                )
        for (kind, fault), n in self.faults.most_common():
            print(f"{kind}: {n:,} × {fault}")
        total = sum(self.counts.values())
        print(
            f"{total:,} inputs in {took:,.0f} s, {total / took:,.0f}/s; slowest {self.slowest:.2f} s CPU, {self.peak:,} MiB at most; {sum(self.faults.values()):,} faults"
        )


def guided(run: Run) -> None:
    """Lets atheris choose the inputs by the branches that they reach; ends the process."""
    try:
        import atheris
    except ImportError:
        sys.exit("--engine atheris: atheris is not installed; type: pip install atheris (Linux, Python 3.11 to 3.13)")
    for name in [name for name in sys.modules if name.startswith("train.plans")]:
        del sys.modules[name]
    with atheris.instrument_imports(include=["train.plans", "pdfminer", "markdown_it"]):
        for name in ("train.plans", "train.plans.formats.pdf", "train.plans.formats.word"):
            importlib.import_module(name)
    options = run.options
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    judge = Judge(folder, options.seconds, options.mib)
    kinds = sorted(set(options.wheel))

    def mutate(data: bytes, longest: int, seed: int) -> bytes:
        draw = Random(seed)
        if draw.randrange(4):
            return bytes(data[:1] + atheris.Mutate(data[1:], max(1, longest - 1)))[:longest]
        kind = draw.choice(kinds)
        return (bytes([KINDS.index(kind)]) + mutated(kind, draw)[1])[:longest]

    def one(data: bytes) -> None:
        kind = KINDS[data[0] % len(KINDS)] if data else "txt"
        raw = bytes(data[1:])
        outcome, fault = judge.verdict(f".{kind}", raw)
        run.counts[kind, outcome] += 1
        run.slowest, run.peak = max(run.slowest, judge.slowest), peak()
        if fault:
            run.note(kind, fault, f".{kind}", raw)

    corpus = folder / "corpus"
    corpus.mkdir()
    for kind in kinds:
        for at in range(50):
            (corpus / f"{kind}{at}").write_bytes(bytes([KINDS.index(kind)]) + mutated(kind, Random(at))[1])
    limits = [
        f"-max_total_time={int(60 * options.minutes)}" if options.minutes else f"-runs={options.inputs}",
        "-max_len=20000",
    ]
    atheris.Setup(
        [sys.argv[0], str(corpus), "-verbosity=0", f"-seed={options.seed + 1}", *limits], one, custom_mutator=mutate
    )
    with contextlib.suppress(SystemExit):
        atheris.Fuzz()


def main() -> int:
    """0: nothing found; 1: findings, their files are in the folder."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--inputs", type=int, default=1_000_000, help="how many in all")
    parser.add_argument("--minutes", type=float, default=0, help="stop earlier than that")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=KINDS, action="append", help="only this kind; may be given again")
    parser.add_argument("--engine", choices=("mutations", "atheris"), default="mutations")
    parser.add_argument("--folder", type=Path, default=Path("fuzz"), help="for files that do harm")
    parser.add_argument("--seconds", type=float, default=5, help="CPU time that a file may take")
    parser.add_argument(
        "--patience", type=float, default=60, help="seconds after which a reader that does not come back is killed"
    )
    parser.add_argument("--mib", type=int, default=1024, help="memory that a process may take")
    options = parser.parse_args()
    options.wheel = [kind for kind in _WHEEL if kind in (options.kind or KINDS)]
    run = Run(options)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))
    if options.engine == "atheris":
        import atexit

        atexit.register(run.report)
        guided(run)
    else:
        try:
            run.mutations()
        finally:  # also of a run that was stopped
            run.report()
    if run.faults:
        (options.folder / "faults.json").write_text(
            json.dumps({f"{k}: {f}": n for (k, f), n in run.faults.items()}, indent=1)
        )
    return 1 if run.faults else 0


if __name__ == "__main__":
    sys.exit(main())
