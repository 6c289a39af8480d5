"""The loop against a Label Studio that dies, loses what was there, and retrains: what takes longer, on a server of its own."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import ROOT, invented_rows

from train.errors import LabelStudioError
from train.labeling import download, upload
from train.labeling.download import pull
from train.labeling.listing import tasks_of
from train.labeling.project import Project
from train.labeling.tasks import TaskMaker, by_plan, choice_result
from train.labeling.upload import push
from train.rows import Row, read_rows, write_rows
from train.tagging import Tagger
from train.taxonomy import Taxonomy

pytest.importorskip("label_studio_sdk")
pytest.importorskip("fastapi")
from studio import Studio, annotate

pytestmark = [pytest.mark.labelstudio(reason="a real server"), pytest.mark.slow(reason="kills a server and trains")]
ENDS = 150  # seconds in which, on a busy machine too, a command notices that the server is gone


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A server that tests may kill."""
    server = Studio.start(tmp_path_factory.mktemp("mortal"))
    yield server
    server.close()
    server.stop()


@pytest.fixture
def project(studio: Studio, taxonomy: Taxonomy) -> Project:
    return studio.project(taxonomy)


def begin(studio: Studio, *arguments: str | Path | int, **more: object) -> subprocess.Popen[str]:
    """`yaodian label` as a process."""
    line = [sys.executable, "-m", "train.cli", "label", *map(str, arguments)]
    known = {"PYTHONPATH": str(ROOT), "LABEL_STUDIO_URL": studio.url, "LABEL_STUDIO_API_KEY": studio.refresh}
    return subprocess.Popen(line, env=os.environ | known, stderr=subprocess.PIPE, text=True, **more)  # type: ignore[call-overload,no-any-return]


def said(process: subprocess.Popen[str], seconds: float = 120) -> tuple[int, str]:
    error = process.communicate(timeout=seconds)[1]
    return process.returncode, error


def annotated(studio: Studio, project: Project, taxonomy: Taxonomy, rows: list[Row]) -> None:
    """Items that come with their answers."""
    tasks = TaskMaker().tasks
    request = [
        {"data": task.data, "annotations": [{"result": [choice_result(task.row["labels"], taxonomy)]}]}
        for plan in by_plan(rows)
        for task in tasks(plan)
    ]
    for at in range(0, len(request), 500):
        studio.client.projects.import_tasks(project.id, request=request[at : at + 500])


def texts(studio: Studio, project: Project) -> list[str]:
    return sorted(t.data["text"] for t in tasks_of(studio.server, project, "id,data"))


# ── The server dies ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_push_whose_server_is_killed_ends_as_one_clean_run_once_it_is_back(
    studio: Studio, project: Project, bundle: Path, tmp_path: Path
) -> None:
    rows = invented_rows(25, 60)
    write_rows(tmp_path / "r.jsonl", rows)
    arguments = ("push", tmp_path / "r.jsonl", "--model", bundle, "--project", project.id)
    pushing = begin(studio, *arguments)
    while not studio.client.projects.get(project.id).task_number and pushing.poll() is None:
        time.sleep(0.2)
    assert pushing.poll() is None
    studio.kill()
    code, error = said(pushing, ENDS)
    assert (code, error.count("\n")) == (2, 1), error
    assert error.startswith(f"{studio.url}: Label Studio does not answer while ")
    studio.revive()
    assert 0 < len(texts(studio, project)) < 1500
    code, error = said(begin(studio, *arguments))
    assert code == 0, error
    assert "1500 items; " in error
    assert texts(studio, project) == sorted(row["text"] for row in rows)
    version = Tagger.load(bundle).bundle.version
    assert sum(1 for _ in tasks_of(studio.server, project, "id", version)) == 1500
    # All of it was there already: nothing is new.
    assert "; 0 new, 0 with new pre-labels; " in said(begin(studio, *arguments))[1]


def test_a_pull_whose_server_is_killed_leaves_the_old_file_and_one_line(
    studio: Studio, project: Project, taxonomy: Taxonomy, taxonomy_file: Path, tmp_path: Path
) -> None:
    rows, out = invented_rows(25, 60), tmp_path / "l.jsonl"
    annotated(studio, project, taxonomy, rows)
    out.write_text("old")
    arguments = ("pull", "-o", out, "--project", project.id, "--labels", taxonomy_file)
    pulling = begin(studio, *arguments)
    while len(list(tmp_path.iterdir())) == 1 and pulling.poll() is None:
        time.sleep(0.02)
    time.sleep(0.7)  # it has begun; now it is listing tasks or reading annotations
    assert pulling.poll() is None
    studio.kill()
    code, error = said(pulling, ENDS)
    assert (code, error.count("\n")) == (2, 1), error
    assert error.startswith(f"{studio.url}: Label Studio does not answer while ")
    assert out.read_text() == "old"
    assert list(tmp_path.iterdir()) == [out]
    studio.revive()
    code, error = said(begin(studio, *arguments))
    assert code == 0, error
    assert read_rows(out, taxonomy, annotated=True) == rows


# ── The disk is full ──────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Callable[[], None] | None]:
    """A file system of so many bytes at `folder`; where none may be mounted, a limit for a process to set on the files it writes."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, stderr=subprocess.DEVNULL).returncode:
        yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        return
    try:
        yield None
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_fills_during_a_pull_leaves_the_old_file_and_one_line(
    studio: Studio, project: Project, taxonomy: Taxonomy, taxonomy_file: Path, tmp_path: Path
) -> None:
    annotated(studio, project, taxonomy, invented_rows(10, 60))
    disk = tmp_path / "disk"
    with small_disk(disk, 65536) as limit:
        out = disk / "l.jsonl"
        out.write_text("old")
        arguments = ("pull", "-o", out, "--project", project.id, "--labels", taxonomy_file)
        code, error = said(begin(studio, *arguments, preexec_fn=limit))
        reason = "File too large; choose another name or folder" if limit else "the disk is full; free some space or choose another disk"  # fmt: skip
        assert (code, error) == (2, f"{out}: cannot be written, {reason}\n")
        assert out.read_text() == "old"
        assert list(disk.iterdir()) == [out]


# ── What was there is gone ────────────────────────────────────────────────────────────────────────────────────────────


class Meanwhile:
    """Something that happens once, when the first batch is through."""

    def __init__(self, happens: Callable[[], object]) -> None:
        self._happens, self._over = happens, False

    def __call__(self, *_: int) -> None:
        if not self._over:
            self._over = True
            self._happens()


def last_task(studio: Studio, project: Project) -> int:
    return max(t.id for t in tasks_of(studio.server, project, "id"))


def test_a_task_deleted_during_a_push_is_sent_again(
    studio: Studio, project: Project, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "BATCH", 5)
    rows = invented_rows(1, 20)
    deleted = Meanwhile(lambda: studio.client.tasks.delete(last_task(studio, project)))
    pushed = push(studio.server, project, lambda: by_plan(rows), Tagger.load(bundle), deleted)
    assert (pushed.n_items, pushed.n_new) == (20, 21)
    assert texts(studio, project) == sorted(r["text"] for r in rows)


def test_a_task_deleted_between_listing_and_prelabelling_is_sent_again(
    studio: Studio, project: Project, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = invented_rows(1, 20)
    push(studio.server, project, lambda: by_plan(rows), None, lambda _: None)
    monkeypatch.setattr(upload, "BATCH", 5)
    deleted = Meanwhile(lambda: studio.client.tasks.delete(last_task(studio, project)))
    push(studio.server, project, lambda: by_plan(rows), Tagger.load(bundle), deleted)
    assert texts(studio, project) == sorted(r["text"] for r in rows)
    version = Tagger.load(bundle).bundle.version
    assert sum(1 for _ in tasks_of(studio.server, project, "id", version)) == 20


def test_a_task_deleted_during_a_pull_is_left_out(
    studio: Studio, project: Project, taxonomy: Taxonomy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, out = invented_rows(1, 20), tmp_path / "l.jsonl"
    annotated(studio, project, taxonomy, rows)
    monkeypatch.setattr(download, "CHUNK", 5)
    deleted = Meanwhile(lambda: studio.client.tasks.delete(last_task(studio, project)))
    pulled = pull(studio.server, project, taxonomy, out, "majority", None, deleted)
    assert pulled.n_rows == 19
    assert read_rows(out, taxonomy) == rows[:-1]


def test_a_project_deleted_during_push_or_pull_is_one_line(
    studio: Studio, taxonomy: Taxonomy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "BATCH", 5)
    monkeypatch.setattr(download, "CHUNK", 5)
    rows, out = invented_rows(1, 20), tmp_path / "l.jsonl"
    out.write_text("old")
    first, second = studio.project(taxonomy), studio.project(taxonomy)
    gone = Meanwhile(lambda: studio.client.projects.delete(first.id))
    with pytest.raises(LabelStudioError, match=r"not found while sending 5 items.*; was it deleted\? "):
        push(studio.server, first, lambda: by_plan(rows), None, gone)
    annotated(studio, second, taxonomy, rows)
    gone = Meanwhile(lambda: studio.client.projects.delete(second.id))
    with pytest.raises(LabelStudioError, match=r"not found while reading annotations.*; was it deleted\? "):
        pull(studio.server, second, taxonomy, out, "majority", None, gone)
    assert out.read_text() == "old"
    assert list(tmp_path.iterdir()) == [out]


def test_an_interface_edited_during_a_pull_is_named_with_its_tasks(
    studio: Studio, project: Project, taxonomy: Taxonomy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = invented_rows(1, 12)
    push(studio.server, project, lambda: by_plan(rows), None, lambda _: None)
    monkeypatch.setattr(download, "CHUNK", 5)
    tasks = [t.id for t in tasks_of(studio.server, project, "id")]

    def edited() -> None:
        wet = project.interface.replace('value="water" alias="water"', 'value="wet" alias="wet"')
        studio.client.projects.update(project.id, label_config=wet)
        answer = choice_result([], taxonomy) | {"value": {"choices": ["wet"]}}
        studio.client.annotations.create(id=tasks[-1], result=[answer])

    annotate(studio.client, tasks[0], ["roads"], taxonomy)
    out = tmp_path / "l.jsonl"
    pulled = pull(studio.server, project, taxonomy, out, "majority", None, Meanwhile(edited))
    (fault,) = pulled.faults
    assert fault.startswith(f"task {tasks[-1]}: admin@example.com: unknown choice wet (the taxonomy has roads, water")
    assert [r["labels"] for r in read_rows(out, taxonomy)] == [["roads"]]


# ── Retraining ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_start_training_trains_and_serves_a_new_version_while_the_old_one_answers(
    studio: Studio, tmp_path: Path
) -> None:
    taxonomy, rows = Taxonomy.load(), read_rows(ROOT / "data" / "starter" / "p03.jsonl")
    project = studio.project(taxonomy)
    annotated(studio, project, taxonomy, rows)
    line = [
        sys.executable,
        "-m",
        "train.cli",
        "serve",
        "--port",
        "0",
        "--runs",
        str(tmp_path / "runs"),
        "--train",
        "optim.epochs=1",
    ]
    line += ["--train", "optim.min_steps=1"]
    known = {"PYTHONPATH": str(ROOT), "LABEL_STUDIO_URL": studio.url, "LABEL_STUDIO_API_KEY": studio.refresh}
    with subprocess.Popen(line, env=os.environ | known, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stderr
            backend = Backend(process.stderr.readline().split(" at ")[1].split(";")[0])
            (old,) = backend.get("/versions")["versions"]
            connected = studio.client.ml.create(project=project.id, url=backend.url, title="yaodian")
            studio.client.ml.train(connected.id)
            while backend.get("/health")["retraining"] != "running":
                time.sleep(0.05)
            answered = 0
            while backend.get("/health")["retraining"] == "running":
                answer = backend.predict([{"data": {"text": row["text"]}} for row in rows[:4]])
                assert len(answer["results"]) == 4
                answered += answer["model_version"] == old
            assert backend.get("/health")["retraining"] == "idle"
            new, *earlier = backend.get("/versions")["versions"]
            assert earlier == [old]
            assert new != old
            assert answered > 3
            assert backend.predict([{"data": {"text": rows[0]["text"]}}])["model_version"] == new
            (pulled,) = (tmp_path / "runs").glob("*.jsonl")
            assert read_rows(pulled, taxonomy) == rows
            backend.close()
        finally:
            process.terminate()
    (kept,) = (tmp_path / "runs").glob("serve-*/model.onnx")
    assert Tagger.load(json.loads((tmp_path / "runs" / "served.json").read_text())["bundle"]).bundle.version == new
    assert kept.stat().st_size


class Backend:
    """A client of a backend that runs elsewhere."""

    def __init__(self, url: str) -> None:
        import httpx

        self.url = url
        self._http = httpx.Client(base_url=url, timeout=60)

    def close(self) -> None:
        self._http.close()

    def get(self, path: str) -> dict[str, object]:
        return dict(self._http.get(path).raise_for_status().json())

    def predict(self, tasks: list[dict[str, object]]) -> dict[str, object]:
        return dict(self._http.post("/predict", json={"tasks": tasks}).raise_for_status().json())
