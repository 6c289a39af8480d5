"""`yaodian label suspects` and `yaodian label next`: what to read again, and what to label next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from train.errors import ConfigError
from train.labeling.command import DEFAULT_PROJECT, ProjectName, TokenFile, Url, app, opened, progress, say

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID
    from rich.table import Table

    from train.labeling.selection import Pool
    from train.labeling.suspects import Suspect
    from train.rows import Row
    from train.tagging import Tagger

__all__ = ["app"]
Output = Annotated[Path | None, typer.Option("-o", "--output", help="Also write them to this file: OUT.jsonl")]


@app.command()
def suspects(
    model: Annotated[
        Path | None, typer.Option("--model", help="A run that was trained on the items; the latest if left out.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", help="How many to show.", min=1)] = 50,
    output: Output = None,
    rows: Annotated[Path | None, typer.Option("--rows", help="Annotated rows (.jsonl) in place of a project.")] = None,
    project: ProjectName = DEFAULT_PROJECT,
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """Annotations that are likely wrong, by scores of a model that had not seen their plans; marked in the project."""
    from rich.console import Console

    from train.labeling.download import Pulled, read_items
    from train.labeling.marks import SUSPECT, mark
    from train.labeling.project import require_themes
    from train.labeling.suspects import find_suspects, items_of_rows
    from train.rows import read_rows
    from train.tagging.bundle import OUT_OF_FOLD, Bundle, latest_run

    bundle = Bundle.open(model or latest_run(OUT_OF_FOLD))
    where = ""
    if rows:
        found = find_suspects(items_of_rows(read_rows(rows, bundle.taxonomy, annotated=True)), bundle, limit)
    else:
        with opened(url, token_file, project) as (server, there), progress("tasks") as (bar, task):
            require_themes(there, bundle.taxonomy, more=True)
            told = _teller(bar, task)
            items = read_items(server, there, bundle.taxonomy, Pulled(), told)
            found = find_suspects(items, bundle, limit)
            mark(server, there, SUSPECT, _reasons(found.suspects), told)
            where = f"; the view “{SUSPECT.title}” shows them: {server.url}/projects/{there.id}/data"
    Console().print(_table(found.suspects))
    _write(output, [suspect.row() for suspect in found.suspects])
    say(
        f"{len(found.suspects)} suspects among {found.n_scored} annotated items that {bundle.folder} was trained on, "
        f"{found.n_annotated - found.n_scored} others were not looked at{where}"
    )


def _teller(bar: Progress, task: TaskID) -> Callable[[int, int], None]:
    def told(n: int, total: int) -> None:
        bar.update(task, completed=n, total=total)

    return told


def _reasons(suspects: Sequence[Suspect]) -> dict[int, tuple[int, str]]:
    """Rank and reason by task; a task of several suspects has the rank of the first and all reasons."""
    said: dict[int, tuple[int, str]] = {}
    for rank, suspect in enumerate(suspects, 1):
        for task in suspect.item.tasks:
            first, reasons = said.get(task, (rank, ""))
            said[task] = (first, f"{reasons} {suspect.said} {suspect.score:.3f}".strip())
    return said


def _table(suspects: Sequence[Suspect]) -> Table:
    from rich.table import Table

    out = Table()
    for name in ("plan", "item", "annotation", "score", "annotators"):
        out.add_column(name, justify="right" if name == "score" else "left", no_wrap=name == "annotation")
    for suspect in suspects:
        row = suspect.item.row
        item = f"{row.get('number') or ''} {row['text']}".strip()
        who = ", ".join(suspect.annotators)
        cells = (str(row["plan"]), item, suspect.said, f"{suspect.score:.3f}", who)
        out.add_row(*(cell.replace("[", r"\[") for cell in cells))
    return out


@app.command("next")
def next_items(
    number: Annotated[int, typer.Option("-n", "--number", help="How many items.", min=1)] = 50,
    strategy: Annotated[
        str,
        typer.Option("--strategy", help="balanced: unsure ones, most for themes with few examples; uncertain; random."),
    ] = "balanced",
    seed: Annotated[int, typer.Option("--seed", help="Decides among equals.")] = 0,
    model: Annotated[
        Path | None, typer.Option("--model", help="The bundle that is to learn; the shipped one if left out.")
    ] = None,
    output: Output = None,
    rows: Annotated[Path | None, typer.Option("--rows", help="Rows (.jsonl) in place of a project.")] = None,
    labelled: Annotated[Path | None, typer.Option("--labelled", help="With --rows: those that are labelled.")] = None,
    project: ProjectName = DEFAULT_PROJECT,
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """What to label next, never what nearly repeats a labelled item; marked in the project, in order."""
    from train.labeling.download import Pulled, read_items
    from train.labeling.marks import NEXT, mark
    from train.labeling.project import require_themes
    from train.labeling.selection import STRATEGIES, Pool
    from train.tagging import Tagger

    if strategy not in STRATEGIES:
        raise ConfigError(f"--strategy is one of {', '.join(STRATEGIES)}, not {strategy!r}")
    if (rows and not output) or (labelled and not rows):
        raise ConfigError("--labelled goes with --rows, and --rows with -o OUT.jsonl")
    tagger = Tagger.load(model)
    if rows:
        pool = _pool(rows, labelled, tagger)
        chosen = pool.choose(tagger, number, strategy, seed)
        where = f"; written to {output}"
    else:
        with opened(url, token_file, project) as (server, there), progress("tasks") as (bar, task):
            require_themes(there, tagger.bundle.taxonomy, more=True)
            told = _teller(bar, task)
            pool = Pool.of_items(read_items(server, there, tagger.bundle.taxonomy, Pulled(), told))
            chosen = pool.choose(tagger, number, strategy, seed)
            ranked = {t: (rank, theme) for rank, (at, theme) in enumerate(chosen, 1) for t in pool.tasks[at]}
            mark(server, there, NEXT, ranked, told)
            where = f"; the view “{NEXT.title}” shows them: {server.url}/projects/{there.id}/data"
    ranked_rows = enumerate(chosen, 1)
    _write(output, [pool.rows[at] | {"next": {"rank": rank, "theme": theme}} for rank, (at, theme) in ranked_rows])
    say(_chosen(pool, chosen, number) + where)


def _pool(rows: Path, labelled: Path | None, tagger: Tagger) -> Pool:
    from train.labeling.selection import Pool
    from train.rows import read_rows

    known = read_rows(labelled, tagger.bundle.taxonomy, annotated=True) if labelled else []
    return Pool.of_rows(read_rows(rows), known)


def _chosen(pool: Pool, chosen: Sequence[tuple[int, str]], number: int) -> str:
    themes = Counter(theme for _, theme in chosen if theme)
    counts = ", ".join(f"{theme} {n}" for theme, n in themes.most_common())
    few = "; all others nearly repeat a labelled or a chosen one" if len(chosen) < min(number, len(pool.rows)) else ""
    return f"{len(chosen)} of {len(pool.rows)} unlabelled items{f' ({counts})' if counts else ''}{few}"


def _write(output: Path | None, rows: list[Row]) -> None:
    from train.tagging.writers import open_writer

    if output:
        with open_writer(output, None) as writer:
            writer.write(rows)
