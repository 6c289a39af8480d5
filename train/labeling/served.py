"""The model that is being served: loaded once, replaced in one step while requests go on."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from train.labeling.tasks import Json, prediction, row_of
from train.rows import Row
from train.tagging import Tagger

# Items that are tagged in one go. A longer request takes turns with the others after so many, so that a single task does not wait for a call with
# thousands; shorter ones that wait are put together.
CHUNK = 64


@dataclass(frozen=True, slots=True)
class _Piece:
    """Rows that wait for a tagger."""

    tagger: Tagger
    rows: list[Row]
    tagged: Future[list[Row]] = field(default_factory=Future)


class Served:
    """A tagger that many threads use and one may replace.

    Attributes:
        versions: of all bundles served so far, the current one last.
    """

    def __init__(self, tagger: Tagger) -> None:
        self._tagger = tagger
        self._waiting: queue.SimpleQueue[_Piece] = queue.SimpleQueue()
        self.versions = [tagger.bundle.version]
        # One thread, as the compiled network answers one call at a time.
        threading.Thread(target=self._work, daemon=True).start()

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
            piece = _Piece(tagger, known[start : start + CHUNK])
            self._waiting.put(piece)
            tagged += piece.tagged.result()
        made = (prediction(row, bundle.taxonomy, bundle.version) for row in tagged)
        nothing = {"model_version": bundle.version, "score": 0.0, "result": list[Json]()}
        return [nothing if row is None else next(made) for row in rows]

    def _work(self) -> None:
        while True:
            together = [self._waiting.get()]
            while sum(len(p.rows) for p in together) < CHUNK:
                try:
                    together.append(self._waiting.get_nowait())
                except queue.Empty:
                    break
            for tagger in dict.fromkeys(p.tagger for p in together):  # two while the model is being replaced
                _tag(tagger, [p for p in together if p.tagger is tagger])


def _tag(tagger: Tagger, pieces: list[_Piece]) -> None:
    try:
        tagged = iter(tagger.tag_rows([row for piece in pieces for row in piece.rows]))
    except Exception as error:  # it belongs to those who asked; the thread goes on
        for piece in pieces:
            piece.tagged.set_exception(error)
    else:
        for piece in pieces:
            piece.tagged.set_result([next(tagged) for _ in piece.rows])


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
