"""`yaodian label`: what the commands of the loop take, and what they say when they are done."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from train.errors import ConfigError, listed

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from train.labeling.agreement import Compared
    from train.labeling.connection import Server
    from train.labeling.download import Pulled
    from train.labeling.project import Project

app = typer.Typer(
    name="label",
    help="The loop with a Label Studio server, whose address and token are in LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY.",
)

Url = Annotated[str | None, typer.Option("--url", help="The server, http://HOST:8080; LABEL_STUDIO_URL if left out.")]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--token-file", help="A file with the token that only you can read; LABEL_STUDIO_API_KEY if left out."
    ),
]
ProjectName = Annotated[str, typer.Option("--project", help="Title or number of the project.")]
Labels = Annotated[Path | None, typer.Option("--labels", help="A taxonomy file; the six themes if left out.")]
DEFAULT_PROJECT = "工作要点条目主题"  # also the title that `init` gives


@app.command()
def init(
    project: ProjectName = DEFAULT_PROJECT,
    labels: Labels = None,
    codebook: Annotated[
        Path | None, typer.Option("--codebook", help="Markdown that annotators see as instructions.")
    ] = None,
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """Make the project, or bring the one of this title up to date."""
    from train.labeling.project import init_project
    from train.taxonomy import Taxonomy

    taxonomy = Taxonomy.load(labels)
    with _server(url, token_file) as server:
        found, what = init_project(server, project, taxonomy, codebook)
    say(f"project {found.id} “{found.title}” {what}: {server.url}/projects/{found.id}/data")


@app.command()
def push(
    paths: Annotated[
        list[Path], typer.Argument(help="Plans, folders of them, or item rows (.jsonl).", show_default=False)
    ],
    project: ProjectName = DEFAULT_PROJECT,
    model: Annotated[
        Path | None, typer.Option("--model", help="The bundle that pre-labels; the shipped one if left out.")
    ] = None,
    prelabels: Annotated[bool, typer.Option(help="Whether items get pre-labels.")] = True,
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """Send items as tasks with pre-labels; what the project holds already is not sent again."""
    from train.labeling.source import Source
    from train.labeling.upload import push as push_items
    from train.tagging import Tagger

    source = Source(paths)
    tagger = Tagger.load(model) if prelabels else None
    with opened(url, token_file, project) as (server, found), progress("items") as (bar, task):
        pushed = push_items(server, found, source.plans, tagger, lambda n: bar.advance(task, n))
    for failure in source.failures.values():
        say(failure)
    for plan, title in pushed.namesakes.items():
        say(
            f"{plan}: the project held a plan of this name, {title}; items of both with the same words are one task. "
            "Push the folder above, whose files have longer names"
        )
    failed = f", {len(source.failures)} files could not be read" if source.failures else ""
    say(
        f"project {found.id}: {pushed.n_items} items{failed}; {pushed.n_new} new, {pushed.n_predicted} with new pre-labels; "
        f"label at {server.url}/projects/{found.id}/data"
    )
    if source.failures:
        raise typer.Exit(1)


@app.command()
def pull(
    output: Annotated[Path, typer.Option("-o", "--output", help="Where annotated rows go: OUT.jsonl")],
    merge: Annotated[str, typer.Option("--merge", help="majority, adjudicator, or all: a row for each annotator.")] = (
        "majority"
    ),
    adjudicator: Annotated[
        str | None, typer.Option("--adjudicator", help="E-mail address of whose answer decides.")
    ] = None,
    project: ProjectName = DEFAULT_PROJECT,
    labels: Labels = None,
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """Fetch annotations as item rows that `python -m train data.path=OUT.jsonl` takes."""
    from train.labeling.annotations import RULES
    from train.labeling.download import pull as pull_rows
    from train.labeling.project import require_themes
    from train.taxonomy import Taxonomy

    if merge not in RULES:
        raise ConfigError(f"--merge is one of {', '.join(RULES)}, not {merge!r}")
    if adjudicator and merge != "adjudicator":
        raise ConfigError(f"--adjudicator {adjudicator} decides nothing with --merge {merge}; add --merge adjudicator")
    taxonomy = Taxonomy.load(labels)
    with opened(url, token_file, project) as (server, found), progress("tasks") as (bar, task):
        require_themes(found, taxonomy, more=True)
        pulled = pull_rows(
            server,
            found,
            taxonomy,
            output,
            merge,
            adjudicator,
            lambda n, total: bar.update(task, completed=n, total=total),
        )
    _say_pulled(pulled, output, merge)
    if not pulled.n_rows:
        raise typer.Exit(2)
    if pulled.faults:
        raise typer.Exit(1)


def _say_pulled(pulled: Pulled, output: Path, rule: str) -> None:
    for fault in pulled.faults:
        say(f"{fault}; left out")
    if pulled.undecided:
        say(f"{len(pulled.undecided)} tasks left out, undecided by {rule}: {listed(pulled.undecided, ', ')}")
    counts = [
        (pulled.n_items - pulled.n_annotated - pulled.n_faulty - pulled.n_cancelled - pulled.n_drafts, "not annotated"),
        (pulled.n_faulty, "left out"),
        (pulled.n_cancelled, "skipped"),
        (pulled.n_drafts, "drafts"),
        (pulled.n_foreign, "tasks that were not pushed by yaodian"),
    ]
    rest = "".join(f", {n} {what}" for n, what in counts if n > 0)
    written = f"written to {output}" if pulled.n_rows else f"{output} was not written"
    say(f"{pulled.n_rows} rows of {pulled.n_annotated} annotated items{rest}; {written}")


@app.command()
def agreement(
    project: ProjectName = DEFAULT_PROJECT,
    labels: Labels = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write the items disagreed on: OUT.jsonl")
    ] = None,
    json_out: Annotated[Path | None, typer.Option("--json", help="Write the figures as JSON.")] = None,
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """How well annotators agree on each theme, and on which items they do not."""
    from train.labeling.agreement import compare
    from train.labeling.download import Pulled, read_items
    from train.labeling.project import require_themes
    from train.taxonomy import Taxonomy

    taxonomy = Taxonomy.load(labels)
    with opened(url, token_file, project) as (server, found), progress("tasks") as (bar, task):
        require_themes(found, taxonomy, more=True)
        pulled = Pulled()
        items = read_items(server, found, taxonomy, pulled, lambda n, total: bar.update(task, completed=n, total=total))
        compared = compare(items, taxonomy)
    for fault in pulled.faults:
        say(f"{fault}; left out")
    _show(compared, output, json_out)


def _show(compared: Compared, output: Path | None, json_out: Path | None) -> None:
    from rich.console import Console

    from train.labeling.agreement import table, write_figures
    from train.tagging.writers import open_writer

    Console().print(table(compared))
    if json_out:
        write_figures(compared, json_out)
    if output:
        with open_writer(output, None) as writer:
            writer.write(compared.differing)
        say(f"{len(compared.differing)} items disagreed on; written to {output}")


def _server(url: str | None, token_file: Path | None) -> Server:
    from train.labeling.connection import Server, find_credentials

    return Server(find_credentials(url, token_file))


@contextmanager
def opened(url: str | None, token_file: Path | None, project: str) -> Iterator[tuple[Server, Project]]:
    """The server and one of its projects, by title or number."""
    from train.labeling.project import open_project

    with _server(url, token_file) as server:
        yield server, open_project(server, project)


@contextmanager
def progress(what: str) -> Iterator[tuple[Progress, TaskID]]:
    """A bar on a terminal, nothing elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn(what), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        yield bar, bar.add_task(what, total=None)


def say(line: str) -> None:
    """One line for people, beside what goes to stdout."""
    print(line, file=sys.stderr)
