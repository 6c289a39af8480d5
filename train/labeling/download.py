"""`label pull`: annotations of the project as rows, in one file that appears when it is whole."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from train.errors import LabelStudioError, OutputError
from train.labeling.annotations import ReadItem, chosen, merge, read_task
from train.labeling.connection import Server
from train.labeling.listing import tasks_of
from train.labeling.project import Project
from train.labeling.tasks import row_of
from train.tagging.writers import open_writer
from train.taxonomy import Taxonomy

CHUNK = 500  # tasks of one export: 1.3 s on a laptop, and an address of 6 kB


class _Nothing(Exception):
    """No row to write."""


@dataclass(slots=True)
class Pulled:
    """What a pull found.

    Attributes:
        n_items: items in the project.
        n_rows: rows written.
        n_annotated: items with at least one answer that can be taken.
        n_faulty: items with an answer that cannot be taken.
        n_cancelled, n_drafts: items with nothing but skipped answers; items with nothing but an answer that was not submitted.
        n_foreign: tasks that `push` did not make.
        undecided: tasks that the rule leaves out.
        faults: answers that cannot be taken, each named with its task; their items are left out.
    """

    n_items: int = 0
    n_rows: int = 0
    n_annotated: int = 0
    n_faulty: int = 0
    n_cancelled: int = 0
    n_drafts: int = 0
    n_foreign: int = 0
    undecided: list[int] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def pull(
    server: Server,
    project: Project,
    taxonomy: Taxonomy,
    output: Path,
    rule: str,
    adjudicator: str | None,
    progress: Callable[[int, int], None],
) -> Pulled:
    """Writes the rows of all annotated items, plan by plan in reading order.

    Args:
        server: where.
        project: whose annotations.
        taxonomy: the themes an answer may have.
        output: a .jsonl file; `python -m train data.path=` takes it as it is.
        rule: how annotators are merged, see `merge`.
        adjudicator: e-mail address of whose answer decides.
        progress: told how many of how many tasks were read.

    Returns:
        What was found; without a row nothing is written.

    Raises:
        LabelStudioError: the server refuses or does not answer; nothing is written then.
        OutputError: the file cannot be written.
    """
    if output.suffix.lower() != ".jsonl":
        raise OutputError(f"{output}: annotations are written as JSON Lines; name the output .jsonl")
    pulled = Pulled()
    with suppress(_Nothing), open_writer(output, None) as writer:
        if rule == "adjudicator":
            require_annotator(server, adjudicator)
        for item in read_items(server, project, taxonomy, pulled, progress):
            if item.faults or not item.readings:
                continue
            rows = merge(item, rule, taxonomy, adjudicator)
            if rows is None:
                pulled.undecided += item.tasks
                continue
            writer.write(rows)
            pulled.n_rows += len(rows)
        if not pulled.n_rows:
            raise _Nothing  # what an earlier pull wrote stays
    return pulled


def read_items(
    server: Server, project: Project, taxonomy: Taxonomy, pulled: Pulled, progress: Callable[[int, int], None]
) -> Iterator[ReadItem]:
    """Items of the project with what was said about them, plan by plan in reading order; counts go into `pulled`."""
    names = annotators(server)
    groups = _groups(server, project, pulled)
    pulled.n_items, n_done = len(groups), 0
    n_tasks = sum(map(len, groups))
    for chunk in _chunks(groups):
        exported = _export(server, project, [task for tasks in chunk for task in tasks])
        for tasks in chunk:
            item = _item([exported[t] for t in tasks if t in exported], taxonomy, names)
            if item is None:  # deleted since it was listed
                continue
            pulled.faults += item.faults
            pulled.n_faulty += bool(item.faults)
            pulled.n_annotated += bool(item.readings) and not item.faults
            if not item.readings and not item.faults:
                pulled.n_cancelled += bool(item.n_cancelled)
                pulled.n_drafts += bool(item.n_drafts) and not item.n_cancelled
            yield item
        n_done += sum(map(len, chunk))
        progress(n_done, n_tasks)


def uses(server: Server, project: Project, choices: Iterable[str]) -> Counter[str]:
    """How many submitted answers give each of some choices."""
    counts, wanted = Counter[str](), set(choices)
    for chunk in _chunks(_groups(server, project, Pulled())):
        for task in _export(server, project, [number for tasks in chunk for number in tasks]).values():
            for annotation in task.get("annotations") or []:
                counts.update(wanted.intersection(chosen(annotation)))
    return counts


def annotators(server: Server) -> dict[int, str]:
    """E-mail addresses of the server's users by their number."""
    users = server.call("listing annotators", lambda c: list(c.users.list()))
    return {int(u.id): str(u.email or u.username or u.id) for u in users}


def require_annotator(server: Server, wanted: str | None) -> None:
    """Refuses an adjudicator nobody on the server is.

    Raises:
        LabelStudioError: with those who are.
    """
    there = sorted(annotators(server).values())
    if wanted not in there:
        given = f"{wanted} is none of" if wanted else "--merge adjudicator needs --adjudicator, one of"
        raise LabelStudioError(f"{given} the server's users: {', '.join(there)}")


def _groups(server: Server, project: Project, pulled: Pulled) -> list[list[int]]:
    """Tasks of each item, in reading order; plans stand in the order in which they were pushed first."""
    places: dict[str, tuple[int, int]] = {}
    tasks: dict[str, list[int]] = {}
    plans: dict[str, int] = {}
    for task in tasks_of(server, project, "id,data"):
        data = task.data or {}
        if row_of(data) is None or not isinstance(data.get("item"), str):
            pulled.n_foreign += 1
            continue
        item, plan = data["item"], str(data.get("plan"))
        position = data.get("position")
        place = (plans.setdefault(plan, len(plans)), position if isinstance(position, int) else 0)
        places.setdefault(item, place)
        tasks.setdefault(item, []).append(task.id)
    return [tasks[item] for item in sorted(tasks, key=lambda i: places[i])]


def _chunks(groups: Iterable[list[int]]) -> Iterator[list[list[int]]]:
    chunk, n_tasks = list[list[int]](), 0
    for tasks in groups:
        chunk.append(tasks)
        n_tasks += len(tasks)
        if n_tasks >= CHUNK:
            yield chunk
            chunk, n_tasks = [], 0
    if chunk:
        yield chunk


def _export(server: Server, project: Project, tasks: list[int]) -> dict[int, dict[str, Any]]:
    body = server.call(
        "reading annotations",
        lambda c: b"".join(
            c.projects.exports.download_sync(
                project.id,
                export_type="JSON",
                download_all_tasks=True,
                request_options={"additional_query_parameters": {"ids[]": tasks}},
            )
        ),
    )
    try:
        return {int(task["id"]): task for task in json.loads(body)}
    except (ValueError, TypeError, KeyError):
        raise LabelStudioError(f"{server.url}: the export of project {project.id} is not readable as JSON") from None


def _item(exported: list[dict[str, Any]], taxonomy: Taxonomy, names: dict[int, str]) -> ReadItem | None:
    row = row_of(exported[0].get("data") or {}) if exported else None
    if row is None:
        return None
    item = ReadItem([int(t["id"]) for t in exported], row)
    for task in exported:
        read_task(item, task, taxonomy, names)
    return item
