"""`yaodian serve` as Label Studio calls it: over HTTP, many at a time, and while the model changes."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, invented_rows
from serving import Backend, another_bundle, fake_training

from train import cli
from train.labeling.backend import _listen
from train.labeling.renewal import Renewal, remembered
from train.labeling.served import Served
from train.labeling.tasks import TaskMaker
from train.rows import read_rows
from train.tagging import Tagger
from train.tagging.bundle import seal
from train.taxonomy import Taxonomy

httpx = pytest.importorskip("httpx")

SECRET = "offen-sesam"


@pytest.fixture
def backend(bundle: Path, tmp_path: Path) -> Iterator[Backend]:
    running = Backend(bundle, tmp_path / "runs")
    yield running
    running.close()


def tasks(n: int) -> list[dict[str, Any]]:
    rows = invented_rows(1, n)
    return [{"id": at, "data": t.data} for at, t in enumerate(TaskMaker().tasks(rows), 1)]


def test_every_task_gets_one_prediction_in_order(backend: Backend, taxonomy: Taxonomy) -> None:
    asked = [
        {"data": {"text": "修路"}},
        {"data": {"image": "x.png"}},
        {},
        *tasks(3),
        {"data": {"text": "治河", "path": "一、"}},
    ]
    answer = backend.post("/predict", tasks=asked, label_config=taxonomy.label_studio_interface())
    chosen = [r["result"][0]["value"]["choices"] if r["result"] else None for r in answer["results"]]
    assert [chosen[0], chosen[1], chosen[2], chosen[-1]] == [["roads"], None, None, ["water"]]
    assert {r["model_version"] for r in answer["results"]} == {backend.served.versions[-1]}
    assert backend.post("/predict", tasks=[])["results"] == []


def test_short_requests_that_wait_are_tagged_together_and_a_long_one_takes_turns(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, asked, sizes = Served(Tagger.load(bundle)), tasks(200), list[int]()
    entered, go_on, tag = threading.Event(), threading.Event(), served.tagger.tag_rows

    def slow(rows: list[Any]) -> Any:
        sizes.append(len(rows))
        entered.set()
        assert go_on.wait(20)
        return tag(rows)

    monkeypatch.setattr(served.tagger, "tag_rows", slow)
    with ThreadPoolExecutor(20) as pool:
        long = pool.submit(served.predict, asked)
        entered.wait(20)
        short = [pool.submit(served.predict, [task]) for task in asked[:5]]
        while served._waiting.qsize() < 5:
            time.sleep(0.01)
        go_on.set()
        assert [f.result() for f in short] == [[p] for p in long.result()[:5]]
    # The first 64 of the long one, the five that came meanwhile, then its rest; the last five may wait with its second piece.
    assert sizes in ([64, 5, 64, 64, 8], [64, 69, 64, 8])


def test_a_fault_in_tagging_is_told_to_those_who_asked_and_the_next_are_answered(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = Served(Tagger.load(bundle))
    with monkeypatch.context() as broken:
        broken.setattr(served.tagger, "tag_rows", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            served.predict(tasks(1))
    assert len(served.predict(tasks(3))) == 3


def test_five_hundred_tasks_in_one_call_are_answered_in_the_servers_time(tmp_path: Path) -> None:
    rows = read_rows(ROOT / "data" / "starter")[:500]
    asked = [{"data": task.data} for task in TaskMaker().tasks(rows)]
    running = Backend(ROOT / "models" / "starter", tmp_path)
    try:
        begun = time.monotonic()
        answer = running.post("/predict", tasks=asked)
        assert len(answer["results"]) == 500
        assert time.monotonic() - begun < 50  # the server waits 100 s
    finally:
        running.close()


def test_setup_tells_the_version_and_refuses_an_interface_it_cannot_answer(
    backend: Backend, taxonomy: Taxonomy
) -> None:
    version = backend.served.versions[-1]
    assert backend.post("/setup", project="1.2", schema=taxonomy.label_studio_interface()) == {"model_version": version}
    answer = backend.client.post("/setup", json={"schema": Taxonomy.load().label_studio_interface()})
    assert answer.status_code == 400
    assert (
        answer.json()["detail"]
        == "the interface offers no roads, water, schools under `themes` for `item`; run `yaodian label init`"
    )
    assert backend.get("/versions") == {"versions": [version]}
    assert backend.get("/health")["status"] == backend.get("/")["status"] == "UP"


def test_what_is_no_request_is_refused(backend: Backend) -> None:
    for path, body in (
        ("/predict", {"tasks": 1}),
        ("/predict", {"tasks": [1]}),
        ("/webhook", {"action": "START_TRAINING"}),
        ("/webhook", {"action": "START_TRAINING", "project": 3}),
    ):
        assert backend.client.post(path, json=body).status_code == 400, body
    assert backend.client.post("/predict", content=b"{").status_code == 422
    assert backend.get("/health")["retraining"] == "idle"


def test_callers_must_show_the_secret_where_there_is_one(bundle: Path, tmp_path: Path) -> None:
    running = Backend(bundle, tmp_path, SECRET)
    try:
        basic = [base64.b64encode(text.encode()).decode() for text in (f"anyone:{SECRET}", "anyone:wrong", SECRET)]
        shown = [
            f"Bearer {SECRET}",
            f"Basic {basic[0]}",
            f"Basic {basic[1]}",
            f"Basic {basic[2]}",
            "Basic ?",
            f"Digest {SECRET}",
            "",
        ]
        codes = [running.client.get("/versions", headers={"Authorization": s}).status_code for s in shown]
        assert codes == [200, 200, 401, 401, 401, 401, 401]
        answer = running.client.get("/versions", headers={"Authorization": ""})
        assert answer.json() == {"detail": "the shared secret is missing or wrong"}
        assert running.client.get("/health", headers={"Authorization": ""}).status_code == 200
    finally:
        running.close()


# ── Retraining ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def _pulled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pulling needs a server, which test_label_studio.py has."""
    command = Renewal._command

    def without_pull(self: Renewal, line: list[str], good: tuple[int, ...]) -> None:
        if "pull" not in line:
            command(self, line, good)

    monkeypatch.setattr(Renewal, "_command", without_pull)


@pytest.mark.usefixtures("_pulled")
def test_no_request_is_lost_while_the_model_is_swapped(bundle: Path, tmp_path: Path) -> None:
    other = another_bundle(bundle, tmp_path / "other")
    running = Backend(bundle, tmp_path / "runs", train=fake_training(tmp_path, other, 0.5))
    old, new = (Tagger.load(b).bundle.version for b in (bundle, other))
    asked, done = tasks(100), threading.Event()

    def client(_: int) -> list[str]:
        seen, last = list[str](), False
        with httpx.Client(base_url=running.url, timeout=60) as http:
            while not last:
                last = done.is_set()  # the last request begins after the swap
                results = http.post("/predict", json={"tasks": asked}).raise_for_status().json()["results"]
                assert len(results) == 100
                (version,) = {r["model_version"] for r in results}
                seen.append(version)
        return seen

    try:
        with ThreadPoolExecutor(8) as pool:
            clients = [pool.submit(client, n) for n in range(8)]
            assert running.post("/webhook", action="START_TRAINING", project={"id": 1}) == {"status": "started"}
            assert running.post("/webhook", action="START_TRAINING", project={"id": 1}) == {"status": "running"}
            running.renewal.wait()
            done.set()
            seen = [future.result() for future in clients]
        for versions in seen:
            assert versions == sorted(versions, key=[old, new].index)
            assert versions[-1] == new
        assert any(old in versions for versions in seen)
        assert running.get("/versions") == {"versions": [new, old]}
        bundle_now = remembered(tmp_path / "runs")
        assert bundle_now
        assert Tagger.load(bundle_now).bundle.version == new
        given = json.loads((tmp_path / "settings.json").read_text())
        assert given["optim.epochs"] == "1"
        assert given["data.path"].endswith(".jsonl'")
    finally:
        running.close()


@pytest.mark.usefixtures("_pulled")
@pytest.mark.parametrize("own", [[], ["experiment=quick"]])
def test_retraining_goes_on_from_the_weights_that_are_served_as_a_few_plans_allow_unless_told_otherwise(
    own: list[str], bundle: Path, tmp_path: Path
) -> None:
    weighty = another_bundle(bundle, tmp_path / "weighty")
    (weighty / "model.safetensors").touch()
    seal(weighty, [p.name for p in weighty.iterdir() if p.name != "digests.json"])
    renewal = Renewal(
        Served(Tagger.load(weighty)),
        tmp_path / "runs",
        own,
        fake_training(tmp_path, another_bundle(bundle, tmp_path / "new")),
    )
    renewal.start(1)
    renewal.wait()
    given = json.loads((tmp_path / "settings.json").read_text())
    assert given["init"] == f"'{weighty}'"
    assert given["experiment"] == (own or ["experiment=adapt"])[0].split("=")[1]
    assert given.get("data.rehearsal") == (None if own else "null")  # the starter corpus is of other themes


@pytest.mark.usefixtures("_pulled")
def test_annotations_are_counted_and_enough_of_them_retrain(bundle: Path, tmp_path: Path) -> None:
    other = another_bundle(bundle, tmp_path / "other")
    running = Backend(bundle, tmp_path / "runs", retrain_after=3, train=fake_training(tmp_path, other))
    try:
        says = [
            running.post("/webhook", action=a, project={"id": 1})["status"]
            for a in ["ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATION_CREATED"]
        ]
        assert says == ["noted"] * 3
        assert running.get("/health")["annotations"] == 2
        assert running.post("/webhook", action="ANNOTATION_CREATED", project={"id": 1}) == {"status": "started"}
        running.renewal.wait()
        assert running.get("/health")["annotations"] == 0
        assert len(running.get("/versions")["versions"]) == 2
    finally:
        running.close()


@pytest.mark.usefixtures("_pulled")
def test_a_retraining_that_fails_leaves_the_model_as_it_is_and_says_why(
    bundle: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fails = [sys.executable, "-c", "import sys; sys.exit('data.path: too few plans')"]
    running = Backend(bundle, tmp_path / "runs", train=fails)
    try:
        running.post("/webhook", action="START_TRAINING", project={"id": 1})
        running.renewal.wait()
        assert running.get("/health")["retraining"] == "failed: data.path: too few plans"
        assert f"version {running.served.versions[-1]} goes on" in caplog.text
        assert running.get("/versions") == {"versions": [Tagger.load(bundle).bundle.version]}
        assert remembered(tmp_path / "runs") is None
    finally:
        running.close()


def test_a_pull_that_fails_is_the_reason(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LABEL_STUDIO_URL", raising=False)
    renewal = Renewal(Served(Tagger.load(bundle)), tmp_path)
    renewal.start(1)
    renewal.wait()
    assert (
        renewal.state == "failed: no Label Studio server is named; set LABEL_STUDIO_URL, or give --url http://HOST:8080"
    )


@pytest.mark.usefixtures("_pulled")
def test_stopping_ends_a_retraining_that_is_under_way(bundle: Path, tmp_path: Path) -> None:
    renewal = Renewal(Served(Tagger.load(bundle)), tmp_path, [], [sys.executable, "-c", "import time; time.sleep(60)"])
    renewal.start(1)
    while renewal._process is None:
        time.sleep(0.01)
    renewal.stop()
    assert renewal.state.startswith("failed: ")
    assert not renewal.start(1)


# ── The command ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host", "0.0.0.0"], "--host 0.0.0.0: other machines could reach it; set YAODIAN_SERVE_SECRET to a secret that they must show"),
        (["--model", "none"], "none: no such bundle"),
        (["--host", "localhost.invalid"], "--host localhost.invalid: other machines could reach it"),
    ],
)  # fmt: skip
def test_what_cannot_be_served_is_one_line(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("YAODIAN_SERVE_SECRET", raising=False)
    assert message in served_error(["--port", "0", *arguments], monkeypatch, capsys)


def test_a_port_that_is_taken_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        error = served_error(["--port", port], monkeypatch, capsys)
    assert (
        error
        == f"--host 127.0.0.1 --port {port}: cannot be listened on (Address already in use); choose another port\n"
    )


def test_an_answer_does_not_wait_until_the_client_acknowledges_its_first_part() -> None:
    async def accepted() -> int:
        option = asyncio.get_running_loop().create_future()

        async def meet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            option.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        listening = _listen("127.0.0.1", 0)
        async with await asyncio.start_server(meet, sock=listening):
            _, client = await asyncio.open_connection(*listening.getsockname())
            client.close()
            return int(await option)

    assert asyncio.run(accepted()) == 1


def test_the_extra_that_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert (
        served_error([], monkeypatch, capsys)
        == "serving a model to Label Studio: packages are not installed; type: pip install 'yaodian[serve]'\n"
    )


def served_error(arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setattr(sys, "argv", ["yaodian", "serve", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    error = capsys.readouterr().err
    assert (stop.value.code, error.count("\n")) == (2, 1)
    return error


def test_the_command_serves_until_it_is_stopped(bundle: Path, tmp_path: Path) -> None:
    line = [sys.executable, "-m", "train.cli", "serve", "--port", "0", "--model", str(bundle), "--runs", str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(line, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        said = process.stderr.readline()
        url = said.split(" at ")[1].split(";")[0]
        answer = httpx.post(f"{url}/predict", json={"tasks": [{"data": {"text": "修路"}}]}, timeout=20).json()
        assert answer["results"][0]["result"][0]["value"]["choices"] == ["roads"]
        process.terminate()
        assert process.stderr.read() == ""
    assert said.endswith("connect it in Label Studio under Settings, Model\n")
