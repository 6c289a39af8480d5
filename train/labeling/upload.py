"""`label push`: items that the project does not hold yet become tasks with pre-labels.

The server is the only memory. Before anything is sent, and again at the end, the project is asked which items it holds; whatever is missing is
sent. So the same command may be given twice, or after it was killed, without an item doubled or lost. A batch whose answer was lost may still
arrive when the next run has begun; what it doubles is found at the end and removed.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from train.errors import LabelStudioError
from train.labeling.connection import BACK_OFF, Server, Transient
from train.labeling.listing import tasks_of
from train.labeling.project import Project, require_themes
from train.labeling.tasks import Json, Task, TaskMaker, prediction
from train.rows import Row
from train.tagging import Tagger

if TYPE_CHECKING:
    from label_studio_sdk import LabelStudio

BATCH = 500  # tasks of one request: 2 s on a laptop, 3 MB; 60 s are allowed

ROUNDS = 3  # the second finds nothing missing, unless somebody deletes tasks meanwhile


@dataclass(slots=True)
class Held:
    """What the project holds of our items.

    Attributes:
        task: the task of each item.
        predicted: tasks that have a prediction of the bundle in question.
        doubles: tasks of items that have another task.
        titles: the title of each plan.
    """

    task: dict[str, int] = field(default_factory=dict)
    predicted: set[int] = field(default_factory=set)
    doubles: list[int] = field(default_factory=list)
    titles: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Pushed:
    """What a push did, in items.

    Attributes:
        namesakes: plans whose name the project held with another title, and that title.
    """

    n_items: int = 0
    n_new: int = 0
    n_predicted: int = 0
    namesakes: dict[str, str] = field(default_factory=dict)


Plans = Callable[[], Iterable[list[Row]]]
Progress = Callable[[int], None]


def push(server: Server, project: Project, plans: Plans, tagger: Tagger | None, progress: Progress) -> Pushed:
    """Sends what is missing, until nothing is.

    Args:
        server: where.
        project: into which.
        plans: gives the rows of one plan after another, from the beginning each time it is called.
        tagger: makes the pre-labels; None for none.
        progress: told how many more items are settled.

    Raises:
        LabelStudioError: the server refuses, or does not answer for longer than a while.
    """
    if tagger:
        require_themes(project, tagger.bundle.taxonomy)
    version = tagger.bundle.version if tagger else None
    pushed, failures, whole_rounds = Pushed(), 0, 0
    while True:
        held = held_items(server, project, version)
        missing = _Missing(held, version is not None)
        pushed.n_items = 0
        n_before = pushed.n_new + pushed.n_predicted
        try:
            for batch in _batches(missing.of(plans(), pushed, progress)):
                _send(server, project, batch, held, tagger, pushed)
                progress(len(batch))
        except Transient:
            # The answer was lost, not necessarily the batch: what arrived is found when the project is asked again.
            failures = 0 if pushed.n_new + pushed.n_predicted > n_before else failures + 1
            if failures > len(BACK_OFF):
                raise
            time.sleep(BACK_OFF[max(0, failures - 1)])
            progress(-missing.n_told)
            continue
        if pushed.n_new + pushed.n_predicted == n_before:
            break
        whole_rounds += 1
        if whole_rounds > ROUNDS:
            raise LabelStudioError(
                f"{server.url}: project {project.id} does not keep the items it is sent; see the server's log"
            )
        progress(-missing.n_told)
    remove_doubles(server, held)
    if version:
        server.call("choosing the pre-labels", lambda c: c.projects.update(project.id, model_version=version))
    return pushed


class _Missing:
    """Picks the tasks that must be sent."""

    def __init__(self, held: Held, wants_prediction: bool) -> None:
        self._held, self._wants = held, wants_prediction
        self.n_told = 0

    def of(self, plans: Iterable[list[Row]], pushed: Pushed, progress: Progress) -> Iterator[Task]:
        maker = TaskMaker()
        for rows in plans:
            for task in maker.tasks(rows):
                pushed.n_items += 1
                self.n_told += 1
                plan, title = task.data["plan"], task.data["title"]
                if self._held.titles.setdefault(plan, title) != title:
                    pushed.namesakes[plan] = self._held.titles[plan]
                there = self._held.task.get(task.item)
                if there is None or (self._wants and there not in self._held.predicted):
                    yield task
                else:
                    progress(1)


def _batches(tasks: Iterator[Task]) -> Iterator[list[Task]]:
    while batch := list(itertools.islice(tasks, BATCH)):
        yield batch


def _send(
    server: Server, project: Project, batch: list[Task], held: Held, tagger: Tagger | None, pushed: Pushed
) -> None:
    predictions: list[list[Json]] = [[] for _ in batch]
    if tagger:
        tagged = tagger.tag_rows([task.row for task in batch])
        bundle = tagger.bundle
        predictions = [[prediction(row, bundle.taxonomy, bundle.version)] for row in tagged]
    pairs = list(zip(batch, predictions, strict=True))
    new = [{"data": task.data, "predictions": made} for task, made in pairs if task.item not in held.task]
    old = [made[0] | {"task": held.task[task.item]} for task, made in pairs if task.item in held.task and made]
    if new:
        server.call(
            f"sending {len(new)} items", lambda c: c.projects.import_tasks(project.id, request=new), repeatable=False
        )
        pushed.n_new += len(new)
    if old:
        _send_predictions(server, project, old)
        pushed.n_predicted += len(old)


def _send_predictions(server: Server, project: Project, made: list[Json]) -> None:
    try:
        server.call(
            f"sending {len(made)} pre-labels",
            lambda c: c.projects.import_predictions(project.id, request=made),
            repeatable=False,
        )
    except Transient:
        raise
    except LabelStudioError as refused:  # all of them, where one task was deleted since it was listed
        there = {task.id for task in tasks_of(server, project, "id")}
        if all(p["task"] in there for p in made):
            raise
        raise Transient(str(refused)) from None


def held_items(server: Server, project: Project, version: str | None) -> Held:
    """Asks which items the project holds; the oldest annotated task of an item counts, its others are doubles.

    Args:
        server: where.
        project: whose tasks.
        version: of the bundle whose predictions are looked for; None for none.
    """
    held, annotated = Held(), set[str]()
    for task in tasks_of(server, project, "id,data,total_annotations"):
        item = (task.data or {}).get("item")
        if not isinstance(item, str):
            continue
        held.titles.setdefault(str(task.data.get("plan")), str(task.data.get("title")))
        has = bool(task.total_annotations)
        if item not in held.task:
            held.task[item] = task.id
        elif has and item not in annotated:
            held.doubles.append(held.task[item])
            held.task[item] = task.id
        elif not has:
            held.doubles.append(task.id)
        if has:
            annotated.add(item)
    if version:
        held.predicted = {task.id for task in tasks_of(server, project, "id", version)}
    return held


def remove_doubles(server: Server, held: Held) -> None:
    """Removes tasks without annotations of items that have another task."""
    for task in held.doubles:
        delete = partial(_delete, task)
        try:
            server.call(f"removing the double task {task}", delete)
        except Transient:
            raise
        except LabelStudioError:  # somebody else removed it, or may not: a double does no harm to `pull`
            continue


def _delete(task: int, client: LabelStudio) -> None:
    client.tasks.delete(task)
