"""Many files in one go: each that fails is named, the others go on, the output appears at the end.

Files are read in worker processes. `tag_files` keeps what is finished in a journal, so that the same command goes on after a kill. Plans are
tagged some at a time, which changes no score (`train.tagging.network`), however often the job was cut and by how many readers it was fed.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from train import __version__
from train.errors import ConfigError, OutputError, shown
from train.plans.files import find_files
from train.plans.readers import Readers, Reading, default_workers
from train.plans.repair import Repairs
from train.rows import CONTRACT, dump_row
from train.tagging.row_files import find_row_files
from train.tagging.writers import open_writer

# Items that are tagged in one go, in whole plans: one to two seconds on two cores, which is what a kill costs. By 128 they take a quarter longer.
TOGETHER = 1024

_CONSOLE = Console(stderr=True)


def read_items(
    paths: Sequence[Path], output: Path | None, without: set[str], skipped: bool, workers: int | None, timeout: float
) -> int:
    """Reads plans into rows, on stdout or into a file of any output format.

    Args:
        paths: files and folders.
        output: None for JSON Lines on stdout.
        without: names of repair steps to leave out.
        skipped: whether lines that became no item are reported on stderr.
        workers: processes that read; None for as many as there are cores.
        timeout: seconds one file may take.

    Returns:
        How many files failed; each was named on stderr.

    Raises:
        YaodianError: nothing to read, an unknown repair step, an output that cannot be written.
    """
    try:
        Repairs.without(without)
    except ValueError as error:
        raise ConfigError(f"--without: {error}") from None
    found = list(find_files(paths))
    failures: list[tuple[str, str]] = []
    n_workers = min(workers or default_workers(), len(found))
    with Readers(n_workers, timeout, without, skipped) as readers:
        read = _in_order(_shown_progress(readers.read(enumerate(found)), len(found)))
        plans = _noting_failures(read, failures)
        if output is None:
            _print_rows(plans)
        else:
            with open_writer(output, None) as writer:
                for reading in plans:
                    writer.write(reading.rows)
                require_some(len(found) - len(failures), output)
                writer.failures.extend(failures)
            say_done(output, len(found), len(failures))
    return len(failures)


def tag_files(
    paths: Sequence[Path], output: Path, model: Path | None, workers: int | None, timeout: float, restart: bool
) -> int:
    """Reads and tags plans into one output, or takes up a run of the same command that was cut short; or tags files of item rows.

    Args:
        paths: files and folders.
        output: what is written at the end, in one step.
        model: a bundle; None for the shipped one.
        workers: processes that read; None for as many as there are cores.
        timeout: seconds one file may take.
        restart: whether what an earlier run finished is thrown away.

    Returns:
        How many files failed; each was named on stderr.

    Raises:
        YaodianError: nothing to read, no bundle, an output that cannot be written or that another run writes.
    """
    from train.tagging import Tagger
    from train.tagging.bundle import Bundle
    from train.tagging.journal import Journal
    from train.tagging.row_files import tag_row_files

    if files := _row_files(paths, output):
        n_rows = tag_row_files(files, output, Tagger.load(model))
        _say(f"{n_rows} rows; written to {shown(output)}")
        return 0
    bundle = Bundle.open(model)
    made_with = {"bundle": bundle.version, "yaodian": __version__, "rows": str(CONTRACT)}
    journal = Journal(output, made_with, restart)
    writer = open_writer(output, bundle.taxonomy, title="卫生健康工作要点条目主题", place=journal.part)
    with journal, writer:
        journal.take(f for f in find_files(paths) if not _is(f.path, output))
        if journal.n_finished:
            _say(f"{journal.n_finished} of {journal.n_files} plans were finished before; going on")
        n_left = journal.n_files - journal.n_finished
        with Readers(min(workers or default_workers(), n_left), timeout) as readers:
            tagger = Tagger(bundle)
            try:
                readings = _shown_progress(readers.read(journal.pending()), journal.n_files, journal.n_finished)
                for some in _together(readings):
                    tagged = iter(tagger.tag_rows([row for reading in some for row in reading.rows]))
                    for reading in some:
                        if reading.failure:
                            journal.fail(reading.at, reading.failure)
                        else:
                            journal.add(reading.at, reading.digest, [next(tagged) for _ in reading.rows])
            except KeyboardInterrupt:
                _say(f"{journal.n_kept()} of {journal.n_files} plans are kept; the same command goes on from there")
                raise
        require_some(journal.n_kept(), output)
        for rows in journal.plans():
            writer.write(rows)
        writer.failures.extend(journal.failures())
    say_done(output, journal.n_files, len(writer.failures))
    return len(writer.failures)


def _together(readings: Iterable[Reading]) -> Iterator[list[Reading]]:
    """Readings with so many items in all that batches are full."""
    some, n_items = list[Reading](), 0
    for reading in readings:
        some.append(reading)
        n_items += len(reading.rows)
        if n_items >= TOGETHER:
            yield some
            some, n_items = [], 0
    if some:
        yield some


def _is(path: Path, output: Path) -> bool:
    """Whether a file found is what an earlier run wrote into the folder of its plans."""
    return path.name == output.name and os.path.realpath(path) == os.path.realpath(output)


def _row_files(paths: Sequence[Path], output: Path) -> list[Path]:
    """Files of rows to tag; what an earlier run wrote into their folder is none of them."""
    files = find_row_files(paths)
    if any(_is(path, output) for path in paths) and files:
        raise OutputError(f"{shown(output)}: is to be tagged, and its labels would be lost; give another output")
    return [file for file in files if not _is(file, output)]


def require_some(n_plans: int, output: Path) -> None:
    """An output of an earlier run is not replaced by an empty one."""
    if not n_plans:
        raise OutputError(f"{shown(output)}: not written, as no plan could be read")


def _print_rows(plans: Iterator[Reading]) -> None:
    """JSON Lines on stdout, in UTF-8 also where a Chinese Windows would redirect it as GBK."""
    if isinstance(sys.stdout, io.TextIOWrapper) and not sys.stdout.isatty():
        sys.stdout.reconfigure(encoding="utf-8", newline="\n")
    try:
        for plan in plans:
            for row in plan.rows:
                print(dump_row(row))
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left in the buffer goes nowhere
        if not isinstance(error, BrokenPipeError):  # `| head` has seen enough
            raise OutputError(f"standard output: cannot be written ({error.strerror})") from None


def _shown_progress(readings: Iterable[Reading], total: int, done: int = 0) -> Iterator[Reading]:
    """Passes readings on, names the files that failed and prints notes; a bar where there is a terminal."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("plans"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=_CONSOLE, transient=True, disable=not _CONSOLE.is_terminal) as bar:
        task = bar.add_task("reading", total=total, completed=done)
        for reading in readings:
            if reading.failure:
                _say(f"{shown(reading.file.path)}: {reading.failure}")
            for note in reading.notes:
                _say(note)
            yield reading
            bar.advance(task)


def _in_order(readings: Iterable[Reading]) -> Iterator[Reading]:
    """Readings in the order of their files; a file that takes long holds back as many as its time limit lets finish."""
    waiting: dict[int, Reading] = {}
    at = 0
    for reading in readings:
        waiting[reading.at] = reading
        while (ready := waiting.pop(at, None)) is not None:
            yield ready
            at += 1


def _noting_failures(readings: Iterable[Reading], failures: list[tuple[str, str]]) -> Iterator[Reading]:
    for reading in readings:
        if reading.failure:
            failures.append((reading.file.name, reading.failure))
        else:
            yield reading


def say_done(output: Path, n_files: int, n_failed: int) -> None:
    """The last line of a job."""
    failed = f", {n_failed} could not be read" if n_failed else ""
    _say(f"{n_files - n_failed} plans{failed}; written to {shown(output)}")


def _say(line: str) -> None:
    _CONSOLE.print(line, markup=False, highlight=False, soft_wrap=True)
