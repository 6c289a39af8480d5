"""Retraining while the model is being served: annotations are pulled and a bundle is trained in processes of their own, then served."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from train.errors import ConfigError, YaodianError
from train.labeling.served import Served
from train.tagging import Tagger
from train.tagging import bundle as layout
from train.taxonomy import Taxonomy

_LOG = logging.getLogger("yaodian.serve")
_POINTER = "served.json"
_SHOWN = 300


class Renewal:
    """Retrains on request, one run at a time.

    Attributes:
        state: "idle", "running", or "failed: " with the reason; the model served before goes on being served then.
    """

    def __init__(self, served: Served, runs: Path, overrides: Sequence[str] = (), train: Sequence[str] = ()) -> None:
        """Starts nothing.

        Args:
            served: what gets the new bundle.
            runs: each run is a folder in it.
            overrides: of `python -m train`.
            train: the command that trains; `python -m train` if empty.
        """
        self._served, self._runs, self._overrides = served, runs, list(overrides)
        self._train = list(train) or [sys.executable, "-m", "train"]
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._process: subprocess.Popen[str] | None = None
        self._stopped = False
        self.state = "idle"

    def start(self, project: int) -> bool:
        """Begins a run on the annotations of a project; False where one is under way."""
        with self._lock:
            if self.state == "running" or self._stopped:
                return False
            self.state = "running"
        self._thread = threading.Thread(target=self._run, args=(project,), daemon=True)
        self._thread.start()
        return True

    def wait(self) -> None:
        """Returns once no run is under way."""
        if self._thread:
            self._thread.join()

    def stop(self) -> None:
        """Ends a run that is under way."""
        self._stopped = True
        if self._process:
            self._process.terminate()
        self.wait()

    def _run(self, project: int) -> None:
        try:
            tagger = self._retrained(project)
            self._served.replace(tagger)
            _remember(self._runs, tagger.bundle.folder)
        except (YaodianError, OSError) as error:
            self.state = f"failed: {str(error)[:_SHOWN]}"
            _LOG.error("retraining %s; version %s goes on", self.state, self._served.versions[-1])
        else:
            self.state = "idle"
            _LOG.warning("version %s is served from now on", tagger.bundle.version)

    def _retrained(self, project: int) -> Tagger:
        current = self._served.tagger.bundle.folder
        folder = self._runs / f"serve-{datetime.now():%Y%m%d-%H%M%S-%f}"
        rows = self._runs / f"{folder.name}.jsonl"
        taxonomy = current / layout.TAXONOMY
        self._runs.mkdir(parents=True, exist_ok=True)
        # Exit code 1 is done, with some answers left out; both commands take the token from the environment.
        where = ["-o", str(rows), "--project", str(project), "--labels", str(taxonomy)]
        self._command([sys.executable, "-m", "train.cli", "label", "pull", *where], (0, 1))
        settings = [f"data.path={_quoted(rows)}", f"run.dir={_quoted(folder)}", f"labels={_quoted(taxonomy)}"]
        if (current / "model.safetensors").is_file():
            settings.append(f"init={_quoted(current)}")
            if not any(o.startswith("experiment=") for o in self._overrides):
                settings.append("experiment=adapt")  # the first answers are of too few plans to hold some out
                if self._served.tagger.bundle.taxonomy.keys != Taxonomy.load().keys:
                    settings.append("data.rehearsal=null")  # the starter corpus is of other themes
        self._command([*self._train, *settings, "run.progress=false", *self._overrides], (0,))
        return Tagger.load(folder)

    def _command(self, line: list[str], good: tuple[int, ...]) -> None:
        if self._stopped:
            raise ConfigError("stopped")
        package = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
        with subprocess.Popen(  # noqa: S603 - our own commands, without a shell
            line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": path}
        ) as process:
            self._process = process
            error = process.communicate()[1]
        self._process = None
        if process.returncode not in good:
            last = (error.strip().splitlines() or [f"exit code {process.returncode}"])[-1]
            raise ConfigError(last)


def remembered(runs: Path) -> Path | None:
    """The bundle that was served last, if it is still there."""
    try:
        folder = Path(json.loads((runs / _POINTER).read_text(encoding="utf-8"))["bundle"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return folder if (folder / layout.DIGESTS).is_file() else None


def _remember(runs: Path, folder: Path) -> None:
    part = runs / f"{_POINTER}.part"
    part.write_text(json.dumps({"bundle": str(folder.resolve())}), encoding="utf-8")
    part.replace(runs / _POINTER)


def _quoted(path: Path) -> str:
    """A path as a value in a Hydra override, which takes few characters without quotes."""
    text = str(path.resolve()).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{text}'"
