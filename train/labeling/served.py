"""The model that is being served: loaded once, replaced in one step while requests go on."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from train.labeling.tasks import Json, prediction, row_of
from train.rows import Row
from train.tagging import Tagger

# Requests take turns after so many items, so that a single task does not wait for a call with thousands: 64 items take
# 0.1 s on an office PC.
CHUNK = 64


class Served:
    """A tagger that many threads use and one may replace.

    Attributes:
        versions: of all bundles served so far, the current one last.
    """

    def __init__(self, tagger: Tagger) -> None:
        self._tagger = tagger
        self._turn = threading.Lock()  # the compiled network answers one call at a time
        self.versions = [tagger.bundle.version]

    @property
    def tagger(self) -> Tagger:
        """The current one."""
        return self._tagger

    def replace(self, tagger: Tagger) -> None:
        """Serves another bundle from the next request on; requests that have begun end with the one they began with."""
        tagger.tag(["预热"])  # the first call compiles
        self.versions = [*(v for v in self.versions if v != tagger.bundle.version), tagger.bundle.version]
        self._tagger = tagger

    def predict(self, tasks: Sequence[Json]) -> list[Json]:
        """One prediction for each task, in order; an empty one where a task holds no text."""
        tagger = self._tagger
        bundle = tagger.bundle
        rows = [_row(task) for task in tasks]
        known = [row for row in rows if row is not None]
        tagged = list[Row]()
        for start in range(0, len(known), CHUNK):
            with self._turn:
                tagged += tagger.tag_rows(known[start : start + CHUNK])
        made = (prediction(row, bundle.taxonomy, bundle.version) for row in tagged)
        nothing = {"model_version": bundle.version, "score": 0.0, "result": list[Json]()}
        return [nothing if row is None else next(made) for row in rows]


def _row(task: Json) -> Row | None:
    """The row of a task; of one that came another way its text."""
    data = task.get("data")
    if not isinstance(data, dict):
        return None
    row = row_of(data) or data
    text, path = row.get("text"), row.get("path")
    if not isinstance(text, str) or not text.strip():
        return None
    return {"text": text, "path": path if isinstance(path, list) and all(isinstance(p, str) for p in path) else []}
