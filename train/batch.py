"""Many files in one go: each that fails is named, the others go on, the output appears at the end."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from train.errors import ConfigError, InputError, NoText
from train.plans import Plan, read_plan
from train.plans.files import Found, find_files
from train.plans.repair import Repairs
from train.rows import dump_row
from train.tagging.writers import open_writer

_CONSOLE = Console(stderr=True)


def read_items(paths: Sequence[Path], output: Path | None, without: set[str], skipped: bool) -> int:
    """Reads plans into rows, on stdout or into a file of any output format.

    Args:
        paths: files and folders.
        output: None for JSON Lines on stdout.
        without: names of repair steps to leave out.
        skipped: whether lines that became no item are reported on stderr.

    Returns:
        How many files failed; each was named on stderr.

    Raises:
        YaodianError: nothing to read, an unknown repair step, an output that cannot be written.
    """
    try:
        repairs = Repairs.without(without)
    except ValueError as error:
        raise ConfigError(f"--without: {error}") from None
    found = find_files(paths)
    failures: list[tuple[str, str]] = []
    if output is None:
        _print_rows(_plans(found, repairs, failures, skipped))
    else:
        with open_writer(output, None) as writer:
            for plan in _plans(found, repairs, failures, skipped):
                writer.write(plan.rows())
            writer.failures.extend(failures)
        say_done(output, len(found), failures)
    return len(failures)


def tag_files(paths: Sequence[Path], output: Path, model: Path | None) -> int:
    """Reads and tags plans, or tags files of item rows, into one output.

    Returns:
        How many files failed; each was named on stderr.

    Raises:
        YaodianError: nothing to read, no bundle, an output that cannot be written.
    """
    from train.tagging import Tagger
    from train.tagging.row_files import find_row_files, tag_row_files

    if files := find_row_files(paths):
        n_rows = tag_row_files(files, output, Tagger.load(model))
        _CONSOLE.print(f"{n_rows} rows; written to {output}", markup=False, highlight=False, soft_wrap=True)
        return 0
    found = find_files(paths)
    tagger = Tagger.load(model)
    failures: list[tuple[str, str]] = []
    with open_writer(output, tagger.bundle.taxonomy, title="卫生健康工作要点条目主题") as writer:
        for plan in _plans(found, None, failures, False):
            writer.write(tagger.tag(plan))
        writer.failures.extend(failures)
    say_done(output, len(found), failures)
    return len(failures)


def _print_rows(plans: Iterator[Plan]) -> None:
    """JSON Lines on stdout, in UTF-8 also where a Chinese Windows would redirect it as GBK."""
    if isinstance(sys.stdout, io.TextIOWrapper) and not sys.stdout.isatty():
        sys.stdout.reconfigure(encoding="utf-8", newline="\n")
    try:
        for plan in plans:
            for row in plan.rows():
                print(dump_row(row))
        sys.stdout.flush()
    except BrokenPipeError:  # `| head` has seen enough; what is left in the buffer goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _plans(
    found: Sequence[Found], repairs: Repairs | None, failures: list[tuple[str, str]], skipped: bool
) -> Iterator[Plan]:
    """Reads one file after another; what cannot be read is named and passed over."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("plans"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=_CONSOLE, transient=True, disable=not _CONSOLE.is_terminal) as bar:
        task = bar.add_task("reading", total=len(found))
        for file in found:
            try:
                plan = plan_with_items(file, repairs)
            except InputError as error:
                failures.append((file.name, error.reason))
                bar.console.print(str(error), markup=False, highlight=False, soft_wrap=True)
            else:
                if skipped:
                    _report_skipped(plan)
                yield plan
            bar.advance(task)


def plan_with_items(file: Found, repairs: Repairs | None = None) -> Plan:
    """Reads one file of a batch.

    Raises:
        InputError: it cannot be read, or no line of it became an item.
    """
    plan = read_plan(file.path, name=file.name, repairs=repairs)
    if not plan.items:
        raise NoText(file.path, "no items found in it; `yaodian items --skipped` shows what its lines were taken for")
    return plan


def _report_skipped(plan: Plan) -> None:
    print(f"{plan.name}: {len(plan.items)} items; repaired lines: {plan.repairs}", file=sys.stderr)
    for number, role, text in plan.skipped:
        print(f"{plan.name}:{number}: {role}: {text[:60]}", file=sys.stderr)


def say_done(output: Path, n_files: int, failures: Sequence[tuple[str, str]]) -> None:
    """The last line of a job."""
    failed = f", {len(failures)} could not be read" if failures else ""
    _CONSOLE.print(
        f"{n_files - len(failures)} plans{failed}; written to {output}", markup=False, highlight=False, soft_wrap=True
    )
