"""Tasks of a project, a thousand at a time: memory stays flat, and tasks that come or go meanwhile push none off a page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from train.labeling.connection import Server
from train.labeling.project import Project

if TYPE_CHECKING:
    from label_studio_sdk import LabelStudio

PAGE = 1000


def tasks_of(server: Server, project: Project, fields: str, version: str | None = None) -> Iterator[Any]:
    """Tasks in the order of their numbers, which is that of pushing.

    Args:
        server: where.
        project: whose tasks.
        fields: which fields of a task are wanted, with commas between.
        version: only tasks that have a prediction of this model version.
    """
    last = 0
    while True:
        page = _page(server, project, fields, _query(last, version))
        yield from page
        if len(page) < PAGE:
            return
        last = page[-1].id


def _page(server: Server, project: Project, fields: str, query: str) -> list[Any]:
    def ask(client: LabelStudio) -> list[Any]:
        pager = client.tasks.list(
            project=project.id, page=1, page_size=PAGE, fields="task_only", include=fields, query=query
        )
        if pager.items is None:  # JSON of another server, which must not be taken for a project without tasks
            raise ValueError("no list of tasks")
        return list(pager.items)

    return server.call("listing tasks", ask)


def _query(last: int, version: str | None) -> str:
    """Tasks after the last one seen: page numbers would skip some when others are deleted meanwhile."""
    wanted: list[dict[str, Any]] = [
        {"filter": "filter:tasks:id", "operator": "greater", "value": last, "type": "Number"}
    ]
    if version:
        # A list: the server takes the characters of a string for values of their own.
        wanted.append(
            {
                "filter": "filter:tasks:predictions_model_versions",
                "operator": "contains",
                "value": [version],
                "type": "List",
            }
        )
    return json.dumps({"filters": {"conjunction": "and", "items": wanted}, "ordering": ["tasks:id"]})
