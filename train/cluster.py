"""One job on several machines, with Ray: files are handed out, each worker loads the tagger once, results come back in order.

Plans become one output with the rows of the local engine in their order. A folder of Parquet rows becomes a folder of the same file
names, each written whole by one worker: a worker that dies leaves nothing half-written, and its files are done again elsewhere. Every
machine must see the inputs, the bundle and the output folder under the same paths.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from train.batch import require_some, say_done
from train.errors import (
    BundleError,
    ClusterError,
    ConfigError,
    InputError,
    MissingExtra,
    OutputError,
    RowError,
    YaodianError,
)
from train.plans.files import Found, find_files
from train.plans.worker import plan_with_items
from train.rows import dump_row
from train.tagging import Tagger
from train.tagging.bundle import Bundle
from train.tagging.row_files import find_row_files, tag_parquet
from train.tagging.writers import open_writer
from train.tagging.writers.part import reported

_CONSOLE = Console(stderr=True)
# Files a worker takes at once: what a dying worker loses is small, and handing out takes milliseconds.
_PLANS_AT_ONCE = 8
# For a local start; results wait there for their turn, and a plan's rows take some 50 kB.
_STORE_BYTES = 256 << 20
_Batch = dict[str, Any]


def tag_on_cluster(paths: Sequence[Path], output: Path, model: Path | None, address: str | None) -> int:
    """Tags plans into one output, or Parquet rows into a folder.

    Args:
        paths: as of `yaodian tag`.
        output: a file of any output format for plans; a new or empty folder for rows.
        model: a bundle; None for the shipped one.
        address: of a cluster, `auto` or `ray://host:10001`; None starts one on this machine.

    Returns:
        How many files failed; each was named on stderr.

    Raises:
        YaodianError: nothing to read, no bundle, no cluster, an output that cannot be written.
    """
    bundle = Bundle.open(model)
    if rows := find_row_files(paths):
        return _tag_row_files(rows, paths, output, bundle, model, address)
    found = list(find_files(paths))
    failures: list[tuple[str, str]] = []
    items = [{"at": at, "path": str(f.path.absolute()), "name": f.name} for at, f in enumerate(found)]
    with open_writer(output, bundle.taxonomy, title="卫生健康工作要点条目主题") as writer, _started(address):
        for file, result in zip(found, _results(items, _TagPlans, model, bundle.version, _PLANS_AT_ONCE), strict=True):
            if result["reason"]:
                failures.append((file.name, result["reason"]))
                _say(f"{file.path}: {result['reason']}")
            else:
                writer.write(json.loads(result["rows"]))
        require_some(len(found) - len(failures), output)
        writer.failures.extend(failures)
    say_done(output, len(found), len(failures))
    return len(failures)


def _tag_row_files(
    files: Sequence[Path], paths: Sequence[Path], output: Path, bundle: Bundle, model: Path | None, address: str | None
) -> int:
    if output.suffix or any(file.suffix.lower() != ".parquet" for file in files):
        raise ConfigError(
            "--engine ray tags .parquet rows into a folder; name the output without an extension, or leave --engine out"
        )
    with reported(output):
        if output.exists() and (not output.is_dir() or any(output.iterdir())):
            raise OutputError(f"{output}: exists and is not an empty folder; give another name")
        names = _names(files, paths)
        for name in names:
            (output / name).parent.mkdir(parents=True, exist_ok=True)
    folder = output.absolute()
    items = [
        {"at": at, "path": str(f.absolute()), "name": str(folder / n)}
        for at, (f, n) in enumerate(zip(files, names, strict=True))
    ]
    n_rows = n_failed = 0
    with _started(address):
        for file, result in zip(files, _results(items, _TagRows, model, bundle.version, 1), strict=True):
            n_rows += int(result["rows"] or 0)
            if result["reason"]:
                n_failed += 1
                _say(result["reason"].replace(str(file.absolute()), str(file)))
    failed = f", {n_failed} could not be read" if n_failed else ""
    _say(f"{n_rows} rows in {len(files) - n_failed} files{failed}; written to {output}")
    return n_failed


def _names(files: Sequence[Path], paths: Sequence[Path]) -> list[str]:
    """Output names: below a folder that was given as there, else the file's own name."""
    folders = [path for path in paths if path.is_dir()]
    names = []
    for file in files:
        home = next((f for f in folders if file.is_relative_to(f)), file.parent)
        names.append(file.relative_to(home).as_posix())
    if double := next((name for name in names if names.count(name) > 1), None):
        raise ConfigError(f"{double}: two inputs would become one output file; tag the folders apart")
    return names


class _Worker:
    """Holds one tagger, loaded at the first file: a fault then is the job's fault and not one of starting a worker."""

    def __init__(self, model: str | None, version: str) -> None:
        self._model, self._version = model, version
        self._loaded: Tagger | None = None

    @property
    def tagger(self) -> Tagger:
        if self._loaded is None:
            self._loaded = Tagger.load(self._model, n_threads=1)  # there is a worker for each processor
            if self._loaded.bundle.version != self._version:
                raise BundleError(
                    f"{self._loaded.bundle.folder}: differs from the bundle of the job; bring the same to every machine"
                )
        return self._loaded

    def __call__(self, batch: _Batch) -> _Batch:
        """Results of a batch of files, in their order."""
        done = [self.result(Path(path), name) for path, name in zip(batch["path"], batch["name"], strict=True)]
        results = {"at": batch["at"]}
        for key, values in zip(("rows", "reason"), zip(*done, strict=True), strict=True):
            results[key] = np.array(values, dtype=object)
        return results

    def result(self, path: Path, name: str) -> tuple[str, str]:
        """(what was done, why it was not) of one file; one of them is empty."""
        raise NotImplementedError


class _TagPlans(_Worker):
    def result(self, path: Path, name: str) -> tuple[str, str]:
        try:
            plan = plan_with_items(Found(path, name))
        except InputError as error:
            return "", error.reason
        return f"[{','.join(map(dump_row, self.tagger.tag(plan)))}]", ""


class _TagRows(_Worker):
    def result(self, path: Path, name: str) -> tuple[str, str]:
        try:
            return str(tag_parquet([path], Path(name), self.tagger)), ""
        except RowError as error:
            return "", str(error)


def _results(
    items: list[dict[str, Any]], worker: type[_Worker], model: Path | None, version: str, batch_size: int
) -> Iterator[dict[str, Any]]:
    """The result of every item, in order.

    Raises:
        YaodianError: that of a worker which can do no file at all, or results that are not one for each item.
    """
    import ray

    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    n_workers = max(1, int(ray.cluster_resources().get("CPU", 1)))
    batches = ray.data.from_items(items, override_num_blocks=-(-len(items) // batch_size)).map_batches(
        worker,
        batch_size=batch_size,
        batch_format="numpy",
        fn_constructor_args=(str(model.absolute()) if model else None, version),
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=n_workers),
        num_cpus=1,
    )
    expected = 0
    try:
        rows = track(
            batches.iter_rows(),
            "tagging",
            len(items),
            console=_CONSOLE,
            transient=True,
            disable=not _CONSOLE.is_terminal,
        )
        for row in rows:
            if row["at"] != expected:
                raise ClusterError(
                    f"file {expected + 1} came back as file {row['at'] + 1}; nothing was written, run the job again"
                )
            expected += 1
            yield row
    except ray.exceptions.RayError as error:
        raise _cause(error) from None
    if expected != len(items):
        raise ClusterError(f"{len(items) - expected} files did not come back; nothing was written, run the job again")


def _cause(error: BaseException) -> YaodianError:
    """The error of a worker that says what to do, else one line about Ray's own."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, YaodianError):
            return cause
        cause = getattr(cause, "cause", None) or cause.__cause__
    said = [line for line in str(error).splitlines() if line.strip()]
    return ClusterError(
        f"the cluster failed: {type(error).__name__}: {said[-1].strip()[:200] if said else 'no reason given'}"
    )


@contextlib.contextmanager
def _started(address: str | None) -> Iterator[None]:
    """Joins a cluster, or starts one on this machine, and leaves none of its processes behind."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # Ray's own lines would bury those about failed files
    try:
        import ray
        import ray.data
    except ModuleNotFoundError:
        raise MissingExtra("--engine ray", "ray") from None
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    own = {} if address else {"include_dashboard": False, "object_store_memory": _STORE_BYTES}
    try:
        ray.init(address=address or "local", log_to_driver=False, logging_level=logging.ERROR, **own)
    except Exception as error:  # a start that takes too long is a bare one
        ray.shutdown()
        detail = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
        if address is None:
            raise ClusterError(
                f"--engine ray: Ray does not start on this machine ({detail}); leave --engine out"
            ) from None
        raise ClusterError(
            f"--address {address}: no Ray cluster answers ({detail}); start one with `ray start --head`, or leave --address out"
        ) from None
    try:
        yield
    finally:
        ray.shutdown()


def _say(line: str) -> None:
    _CONSOLE.print(line, markup=False, highlight=False, soft_wrap=True)
