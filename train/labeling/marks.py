"""Marks that a command leaves on tasks, and the view of the data manager that shows the marked ones in order.

A mark is two keys in a task's `data`: the rank, and the reason under the same name with `_why`. They are columns of the data manager, which annotators
can sort and filter by. Marks of an earlier call are removed; a task that is marked as it should be is not touched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from train.errors import LabelStudioError
from train.labeling.connection import Server, Transient
from train.labeling.listing import tasks_of
from train.labeling.project import Project
from train.labeling.tasks import Json

if TYPE_CHECKING:
    from label_studio_sdk import LabelStudio


@dataclass(frozen=True, slots=True)
class Mark:
    """A kind of mark.

    Attributes:
        name: the key in a task's `data`.
        title: of the view.
        conditions: further filters of the view.
    """

    name: str
    title: str
    conditions: list[Json] = field(default_factory=list)


# A task leaves the view when it has as many annotations as the project asks for.
_UNFINISHED: Json = {"filter": "filter:tasks:completed_at", "operator": "empty", "value": True, "type": "Datetime"}
SUSPECT = Mark("suspect", "疑似错标 suspects")
NEXT = Mark("next", "接下来标 next", [_UNFINISHED])


def mark(
    server: Server,
    project: Project,
    kind: Mark,
    wanted: Mapping[int, tuple[int, str]],
    progress: Callable[[int, int], None],
) -> None:
    """Marks these tasks and no others, and makes or mends the view.

    Args:
        server: where.
        project: whose tasks.
        kind: of mark.
        wanted: rank, from 1, and reason of each task by its number.
        progress: told how many of how many tasks were changed.

    Raises:
        LabelStudioError: the server refuses or does not answer; the same command goes on where it stopped.
    """
    changes = _changes(server, project, kind, wanted)
    refused: dict[int, LabelStudioError] = {}
    for n_done, (task, data) in enumerate(changes.items(), 1):
        try:
            server.call(f"marking task {task}", partial(_update, task, data))
        except Transient:
            raise
        except LabelStudioError as error:
            refused[task] = error
        progress(n_done, len(changes))
    there = {task.id for task in tasks_of(server, project, "id")} if refused else set[int]()
    for task, fault in refused.items():
        if task in there:  # others were deleted meanwhile
            raise fault
    _show(server, project, kind)


def _changes(server: Server, project: Project, kind: Mark, wanted: Mapping[int, tuple[int, str]]) -> dict[int, Json]:
    """The data of tasks whose mark is not what it should be."""
    why, changes = f"{kind.name}_why", dict[int, Json]()
    for task in tasks_of(server, project, "id,data"):
        before: Json = task.data or {}
        after = {k: v for k, v in before.items() if k not in (kind.name, why)}
        if task.id in wanted:
            after |= dict(zip((kind.name, why), wanted[task.id], strict=True))
        if after != before:
            changes[task.id] = after
    return changes


def _update(task: int, data: Json, client: LabelStudio) -> None:
    client.tasks.update(str(task), data=data)


def _show(server: Server, project: Project, kind: Mark) -> None:
    column = f"tasks:data.{kind.name}"
    ranked = {"filter": f"filter:{column}", "operator": "greater", "value": 0, "type": "Number"}
    data: dict[str, Any] = {
        "title": kind.title,
        "type": "list",
        "target": "tasks",
        "filters": {"conjunction": "and", "items": [ranked, *kind.conditions]},
        "ordering": [column],
        "columnsDisplayType": {column: "Number"},  # otherwise 10 comes before 2
    }
    views = server.call("listing views", lambda c: list(c.views.list(project=project.id)))
    mine = [view for view in views if (view.data or {}).get("title") == kind.title]
    if mine:
        server.call("changing the view", lambda c: c.views.update(str(mine[0].id), project=project.id, data=data))
        return
    if not views:  # the browser makes the view of all tasks only where there is no view yet
        everything = {"title": "Default", "type": "list", "target": "tasks"}
        server.call("making a view", lambda c: c.views.create(project=project.id, data=everything), repeatable=False)
    server.call("making a view", lambda c: c.views.create(project=project.id, data=data), repeatable=False)
