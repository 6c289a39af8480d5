"""Tagging on a Ray cluster: the rows of the local engine, in its order, also when a worker is killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from conftest import ROOT, invented_rows
from documents import write

from train import cli, cluster
from train.errors import BundleError
from train.plans.plan import outline_text
from train.rows import read_rows
from train.tagging import Tagger
from train.tagging.row_files import tag_parquet

NODES = Path(__file__).with_name("ray_nodes.py")
ENVIRONMENT = os.environ | {
    "PYTHONPATH": str(ROOT),
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_raylet_start_wait_time_s": "250",
}


def give_up(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """The one line on stderr of a `yaodian tag` that gives up."""
    monkeypatch.setattr(sys, "argv", ["yaodian", "tag", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    error = capsys.readouterr().err
    assert (stop.value.code, error.count("\n")) == (2, 1), error
    return error


# ── Without Ray ───────────────────────────────────────────────────────────────────────────────────────────────────────


class RayError(Exception):
    """Stands for ray.exceptions.RayError."""

    def __init__(self, message: str, cause: Exception | None = None) -> None:
        super().__init__(message)
        self.cause = cause


@pytest.fixture
def fake_ray(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts a Ray in place whose jobs give these rows, or whose start or job raises."""

    def install(rows: list[dict[str, Any]], start: Exception | None = None, fault: Exception | None = None) -> None:
        def iterate() -> Iterator[dict[str, Any]]:
            yield from rows
            if fault:
                raise fault

        def init(**_: Any) -> None:
            if start:
                raise start

        ray, data = types.ModuleType("ray"), types.ModuleType("ray.data")
        done = types.SimpleNamespace(map_batches=lambda *_, **__: types.SimpleNamespace(iter_rows=iterate))
        context = types.SimpleNamespace(execution_options=types.SimpleNamespace())
        vars(data).update(
            DataContext=types.SimpleNamespace(get_current=lambda: context),
            from_items=lambda *_, **__: done,
            ActorPoolStrategy=lambda **_: None,
        )
        vars(ray).update(
            data=data,
            init=init,
            shutdown=lambda: None,
            cluster_resources=dict,
            exceptions=types.SimpleNamespace(RayError=RayError),
        )
        monkeypatch.setitem(sys.modules, "ray", ray)
        monkeypatch.setitem(sys.modules, "ray.data", data)

    return install


def result(at: int) -> dict[str, Any]:
    return {"at": at, "rows": "[]", "reason": ""}


@pytest.mark.parametrize(
    ("ray", "message"),
    [
        ({"rows": [result(1), result(0)]}, "file 1 came back as file 2; nothing was written, run the job again"),
        ({"rows": [result(0), result(0)]}, "file 2 came back as file 1; nothing was written, run the job again"),
        ({"rows": [result(0)]}, "1 files did not come back; nothing was written, run the job again"),
        ({"rows": [], "fault": RayError("a\nno memory\n")}, "the cluster failed: RayError: no memory"),
        ({"rows": [], "fault": RayError("x", BundleError("m: no such bundle"))}, "m: no such bundle"),
        ({"rows": [], "start": ConnectionError("refused\nmore")},
         "--address auto: no Ray cluster answers (refused); start one with `ray start --head`, or leave --address out"),
    ],
)  # fmt: skip
def test_a_cluster_that_fails_or_loses_files_writes_nothing_and_says_so(
    ray: dict[str, Any], message: str, fake_ray: Callable[..., None], bundle: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    fake_ray(**ray)
    for name in ("a.txt", "b.txt"):
        write(tmp_path, f"in/{name}", "甲")
    line = ["--engine", "ray", "--address", "auto", "--model", bundle]
    assert give_up(monkeypatch, capsys, tmp_path / "in", "-o", tmp_path / "out.jsonl", *line) == message + "\n"
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_ray_that_does_not_start_here_says_so(
    fake_ray: Callable[..., None],
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fake_ray([], start=Exception("The current node timed out during startup."))
    error = give_up(
        monkeypatch,
        capsys,
        write(tmp_path, "a.txt", "甲"),
        "-o",
        tmp_path / "o.jsonl",
        "--engine",
        "ray",
        "--model",
        bundle,
    )
    assert (
        error
        == "--engine ray: Ray does not start on this machine (The current node timed out during startup.); leave --engine out\n"
    )


def test_ray_that_is_not_installed_or_not_asked_for_is_named(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    plan = write(tmp_path, "a.txt", "甲")
    error = give_up(monkeypatch, capsys, plan, "-o", tmp_path / "o.jsonl", "--engine", "ray", "--model", bundle)
    assert error == "--engine ray: packages are not installed; type: pip install 'yaodian[ray]'\n"
    assert (
        give_up(monkeypatch, capsys, plan, "-o", "o.jsonl", "--address", "auto") == "--address: is for --engine ray\n"
    )
    assert "Invalid value for '--engine'" in give_up(monkeypatch, capsys, plan, "-o", "o.jsonl", "--engine", "spark")


def test_rows_go_from_files_of_parquet_to_a_new_folder(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["--engine", "ray", "--model", bundle]
    for name in ("lake/a.parquet", "sea/a.parquet", "full/x", "rows.jsonl"):
        write(tmp_path, name, "x")
    expected = (
        "--engine ray tags .parquet rows into a folder; name the output without an extension, or leave --engine out\n"
    )
    assert give_up(monkeypatch, capsys, tmp_path / "lake", "-o", tmp_path / "o.parquet", *line) == expected
    assert give_up(monkeypatch, capsys, tmp_path / "rows.jsonl", "-o", tmp_path / "o", *line) == expected
    error = give_up(monkeypatch, capsys, tmp_path / "lake", "-o", tmp_path / "full", *line)
    assert error == f"{tmp_path / 'full'}: exists and is not an empty folder; give another name\n"
    error = give_up(monkeypatch, capsys, tmp_path / "lake", tmp_path / "sea", "-o", tmp_path / "o", *line)
    assert error == "a.parquet: two inputs would become one output file; tag the folders apart\n"


def test_a_worker_refuses_a_bundle_that_is_not_the_one_of_the_job(bundle: Path) -> None:
    worker = cluster._TagRows(str(bundle), "another")
    with pytest.raises(BundleError, match=r"differs from the bundle of the job; bring the same to every machine$"):
        _ = worker.tagger


# ── With Ray ──────────────────────────────────────────────────────────────────────────────────────────────────────────


# A process that opens one of these files for the first time is killed on the spot, as by a kernel short of memory.
DEADLY = {"plan": "甲0060县", "rows": ".17.parquet."}
KILLER = """
import os, signal, sys

def hook(event, arguments):
    if event == "open":
        for at, name in enumerate({names!r}):
            if name in str(arguments[0]):
                try:
                    os.close(os.open({folder!r} + f"/killed{{at}}", os.O_CREAT | os.O_EXCL))
                except FileExistsError:
                    continue
                os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(hook)
"""


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the module that kills workers, where marks of its deeds appear."""
    folder = tmp_path_factory.mktemp("killer")
    write(folder, "sitecustomize.py", KILLER.format(names=list(DEADLY.values()), folder=str(folder)))
    return folder


@pytest.fixture(scope="module")
def address(killed: Path) -> Iterator[str]:
    """Of a cluster of two nodes with one CPU each."""
    environment = ENVIRONMENT | {"PYTHONPATH": f"{killed}:{ROOT}"}
    process = subprocess.Popen(
        [sys.executable, NODES], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdin
    assert process.stdout
    try:
        found = process.stdout.readline().strip()
        assert found, "the cluster did not start"
        yield found
    finally:
        process.stdin.close()
        process.wait(60)
        process.stdout.close()


def start(*arguments: str | Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "train.cli", "tag", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)


def finished(process: subprocess.Popen[str]) -> tuple[int, list[str]]:
    out, error = process.communicate(timeout=240)
    assert not out or "A worker died or was killed" in out  # Ray's own words, once for each
    return process.returncode, [
        line for line in error.splitlines() if "Set ray log level" not in line
    ]  # Ray says that it is told to be quiet


def plans(folder: Path, n_plans: int, n_items: int) -> Path:
    """Invented plans, two of which cannot be read."""
    for at in range(n_plans):
        rows = invented_rows(1, n_items, seed=at)
        text = outline_text(f"甲{at}县2025年工作要点", [(r["number"], r["path"], r["text"], r["units"]) for r in rows])
        write(folder, f"{at % 7}/甲{at:04}县.txt", text)
    write(folder, "3/坏.docx", b"PK\x03\x04x")
    write(folder, "无.txt", "通知\n")
    return folder


@pytest.fixture(scope="module")
def hundreds(tmp_path_factory: pytest.TempPathFactory, bundle: Path) -> tuple[Path, Path, list[str]]:
    """A hundred plans, the local engine's rows and what it said."""
    root = tmp_path_factory.mktemp("hundreds")
    code, lines = finished(start(plans(root / "in", 120, 12), "-o", root / "local.jsonl", "--model", bundle))
    assert code == 1
    return root / "in", root / "local.jsonl", lines


@pytest.mark.slow(reason="starts a Ray cluster of two nodes and kills a worker")
def test_two_nodes_give_the_rows_of_the_local_engine_though_a_worker_is_killed(
    address: str, killed: Path, hundreds: tuple[Path, Path, list[str]], bundle: Path, tmp_path: Path
) -> None:
    source, local, said = hundreds
    out = tmp_path / "ray.jsonl"
    process = start(source, "-o", out, "--model", bundle, "--engine", "ray", "--address", address)
    code, lines = finished(process)
    assert (
        code,
        [line.replace("ray.jsonl", "local.jsonl").replace(str(tmp_path), str(local.parent)) for line in lines],
    ) == (1, said)
    assert (killed / "killed0").exists()
    assert out.read_bytes() == local.read_bytes()


@pytest.mark.slow(reason="starts a Ray cluster of two nodes and kills a worker")
def test_a_folder_of_parquet_becomes_a_folder_of_parquet_though_a_worker_is_killed(
    address: str, killed: Path, hundreds: tuple[Path, Path, list[str]], bundle: Path, tmp_path: Path
) -> None:
    import pyarrow as pa

    lake, out, tagger = tmp_path / "lake", tmp_path / "out", Tagger.load(bundle)
    (lake / "year=2025").mkdir(parents=True)
    rows = [{k: row[k] for k in ("plan", "number", "path", "text")} for row in read_rows(hundreds[1])]
    size = len(rows) // 40
    for at in range(40):
        table = pa.Table.from_pylist([row | {"id": at} for row in rows[at * size : (at + 1) * size]])
        pq.write_table(table, lake / "year=2025" / f"{at:02}.parquet")
    write(lake, "bad.parquet", "x")
    process = start(lake, "-o", out, "--model", bundle, "--engine", "ray", "--address", address)
    code, lines = finished(process)
    assert (killed / "killed1").exists()
    assert code == 1
    assert lines[0].startswith(f"{lake / 'bad.parquet'}: not a Parquet file, or damaged (")
    assert lines[1:] == [f"{40 * size} rows in 40 files, 1 could not be read; written to {out}"]
    assert sorted(p.name for p in (out / "year=2025").iterdir() if not p.name.startswith(".")) == [
        f"{n:02}.parquet" for n in range(40)
    ]
    for at in (0, 17, 39):
        tag_parquet([lake / "year=2025" / f"{at:02}.parquet"], tmp_path / "one.parquet", tagger)
        assert (
            pq.ParquetFile(out / "year=2025" / f"{at:02}.parquet")
            .read()
            .equals(pq.ParquetFile(tmp_path / "one.parquet").read())
        )


@pytest.mark.slow(reason="starts Ray on this machine")
def test_a_job_without_an_address_starts_ray_and_leaves_no_process_behind(bundle: Path, tmp_path: Path) -> None:
    plan = write(tmp_path, "甲.txt", "甲县2025年工作要点\n\n1.修好道路和桥梁,年内全部完工通车。\n")
    before = {p.name for p in Path("/proc").glob("[0-9]*")}
    code, lines = finished(start(plan, "-o", tmp_path / "o.jsonl", "--model", bundle, "--engine", "ray"))
    assert (code, lines) == (0, [f"1 plans; written to {tmp_path / 'o.jsonl'}"])
    assert [row["labels"] for row in read_rows(tmp_path / "o.jsonl")] == [["roads"]]
    time.sleep(1)
    left = [p for p in Path("/proc").glob("[0-9]*") if p.name not in before and b"raylet" in _command(p)]
    assert left == []


def _command(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""
