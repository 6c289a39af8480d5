"""What is pushed: plans in any format, or rows, as many times as the upload asks for them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

from train.errors import InputError
from train.labeling.tasks import by_plan
from train.plans.files import SUFFIXES, find_files
from train.plans.worker import plan_with_items
from train.rows import Row, stream_rows


class Source:
    """The inputs of a push.

    Attributes:
        failures: what is wrong with a file that cannot be read, by its path.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        """Looks at the inputs.

        Raises:
            YaodianError: nothing to read.
        """
        self._rows = [p for p in paths if _holds_rows(p)]
        for path in self._rows:  # a faulty row is told before anything is sent; none is kept, so that memory stays flat
            deque(stream_rows(path), maxlen=0)
        plans = [p for p in paths if not _holds_rows(p)]
        self._plans = list(find_files(plans)) if plans else []
        self.failures: dict[Path, str] = {}

    def plans(self) -> Iterator[list[Row]]:
        """The rows of one plan after another; a file that cannot be read is noted and passed over."""
        for path in self._rows:
            yield from by_plan(stream_rows(path))
        for file in self._plans:
            try:
                plan = plan_with_items(file)
            except InputError as error:
                self.failures[Path(file.path)] = str(error)
            else:
                yield plan.rows()


def _holds_rows(path: Path) -> bool:
    """Whether a path is a file of rows, or a folder with nothing else to read."""
    if not path.is_dir():
        return path.suffix.lower() == ".jsonl"
    return any(path.glob("*.jsonl")) and not any(f.suffix.lower() in SUFFIXES for f in path.rglob("*"))
