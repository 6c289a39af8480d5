"""The shipped network in OpenVINO: beside torch, and beside itself in other company."""

import json
import os
import subprocess
import sys
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT

from train.resources import resource
from train.rows import Row, read_rows, write_rows
from train.tagging import network, runtime
from train.tagging.bundle import MODEL, Bundle

# The most that oneDNN may use, torch's and OpenVINO's alike; "ALL" is what the processor has.
ISAS = ("ALL", "AVX512_CORE", "AVX2")

COMPANY = """
import random, sys
import numpy as np
from train.rows import read_rows
from train.tagging import network, runtime
from train.tagging.bundle import Bundle
rows = read_rows(sys.argv[1])
own = runtime.Runtime(Bundle.open())
alone = np.concatenate([own.scores([row]) for row in rows])
def differ(parts):
    own._remembered.clear()
    found = np.concatenate([own.scores([rows[at] for at in part]) for part in parts])
    return int((found != alone[[at for part in parts for at in part]]).any(axis=1).sum())
order = list(range(len(rows)))
mixed = random.Random(1).sample(order, len(order))
print(differ([order]), differ([mixed]), differ([mixed[at : at + 7] for at in range(0, len(rows), 7)]))
network.BATCH_TOKENS = 4096
print(differ([order]))
network.LENGTH_STEP = 128
print(differ([order]))
"""


def in_process(isa: str, *arguments: str) -> str:
    environment = os.environ | {"ONEDNN_MAX_CPU_ISA": isa, "HF_HUB_OFFLINE": "1"}
    run = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, cwd=ROOT, env=environment)
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.fixture(scope="module")
def some(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("some") / "rows.jsonl"
    write_rows(path, read_rows(resource("data") / "starter")[::60])  # 161 items
    return path


@pytest.mark.slow(reason="computes the shipped network with three instruction sets")
@pytest.mark.parametrize("isa", ISAS)
def test_scores_are_the_same_to_the_last_bit_in_any_company(isa: str, some: Path) -> None:
    assert in_process(isa, "-c", COMPANY, str(some)).split() == ["0"] * 5


@pytest.mark.parametrize(
    ("lengths", "max_length", "batches"),
    [
        ([], 256, []),
        ([3], 256, [[0]]),
        (
            [10, 256, 250, 200, 256, 12],
            256,
            [[1, 4, 2, 3], [5, 0]],
        ),  # four of 256 tokens fill a batch; the fifth is padded to 16
        ([100] * 12, 256, [list(range(9)), [9, 10, 11]]),  # nine of 112
        ([250, 245, 240, 10], 250, [[0, 1], [2, 3]]),  # padding to 250 would not be to a multiple of 16
    ],
)
def test_windows_of_about_one_length_fill_batches_the_longest_first(
    lengths: list[int], max_length: int, batches: list[list[int]]
) -> None:
    windows = [([5] * n, n) for n in lengths]
    assert list(network._batches(windows, range(len(windows)), max_length)) == batches


def test_last_batches_are_filled_up_to_a_power_of_two_or_a_full_batch() -> None:
    full = 9  # windows of 100 tokens, which are padded to 112
    assert [network._rounded(n, 100) for n in range(1, full + 1)] == [1, 2, 4, 4, 8, 8, 8, 8, full]
    assert network._rounded(3, 256) == 4
    assert network._rounded(33, 10) == 64


@pytest.mark.slow(reason="computes the shipped network in torch too")
@pytest.mark.parametrize("isa", ISAS)
def test_scores_are_within_a_hundredth_of_torch_in_fp32_and_labels_equal(isa: str, some: Path, tmp_path: Path) -> None:
    job = tmp_path / "job.json"
    job.write_text(json.dumps({"rows": str(some), "n_threads": 1}))
    found = json.loads(in_process(isa, "scripts/bench_rivals.py", "fidelity", str(job)))
    assert found["items"] == 161
    assert found["worst"] < 0.01
    assert found["equal"] >= 0.999


@pytest.mark.slow(reason="computes the shipped network twice, without bf16 units slowly")
def test_a_score_that_is_unclear_in_bf16_is_that_of_f32(monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = resource("models") / "starter"
    rows = read_rows(resource("data") / "starter")[::20]  # 481 items
    found = {precision: scores_in(precision, shipped, rows, monkeypatch) for precision in ("bf16", "f32")}
    unclear = (found["f32"] > 0.15) & (found["f32"] < 0.85)
    assert 0 < unclear.any(axis=1).sum() < 40
    assert (found["bf16"][unclear] == found["f32"][unclear]).all()
    assert (found["bf16"] != found["f32"]).any()  # the clear ones are left as they are


@pytest.mark.parametrize("limits", [(-np.inf, np.inf), (0.0, 0.0)])
def test_unclear_windows_are_computed_again_once_each_in_batches_of_about_one_length(
    limits: tuple[float, float], bundle: Path, rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    f32 = scores_in("f32", bundle, rows, monkeypatch)
    monkeypatch.setattr(network, "_UNCLEAR", limits)
    monkeypatch.setattr(network, "BATCH_TOKENS", 64)  # so that batches fill while others are computed
    started: dict[Any, list[list[int]]] = {}

    def watched(own: Any, queue: Any, part: Any, places: list[int]) -> None:
        started.setdefault(queue, []).append(places)
        start(own, queue, part, places)

    start = network.Network._start
    monkeypatch.setattr(network.Network, "_start", watched)
    scores = scores_in("bf16", bundle, rows, monkeypatch)
    first, *again = started.values()
    places = sorted(chain(*first))
    assert places == list(range(len(places)))
    assert len(places) >= len(rows)
    if limits[1]:
        assert sorted(chain(*again[0])) == places
        assert len(again[0]) <= len(first) + 1
        assert (scores == f32).all()
    else:
        assert not again


@pytest.mark.parametrize("precision", ["bf16", "f32"])
def test_chunks_come_back_in_their_order_and_the_next_is_begun_before_one_is_awaited(
    precision: str, bundle: Path, rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = scores_in(precision, bundle, rows, monkeypatch)
    monkeypatch.setattr(runtime, "CHUNK", 3)
    begun, done = list[Any](), list[tuple[int, int]]()

    def watched(own: Any, queue: Any, part: Any, places: list[int]) -> None:
        if part not in begun:
            begun.append(part)
        start(own, queue, part, places)

    start = network.Network._start
    monkeypatch.setattr(network.Network, "_start", watched)
    own = runtime.Runtime(Bundle.open(bundle))
    assert (own.scores(rows, lambda n: done.append((n, len(begun)))) == whole).all()
    assert sum(n for n, _ in done) == len(rows)
    assert len(done) == len(begun) > 2
    assert all(n_begun > at for at, (_, n_begun) in enumerate(done[:-1], start=1))


def scores_in(precision: str, bundle: Path, rows: list[Row], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(network, "_precision", lambda core: precision)
    return runtime.Runtime(Bundle.open(bundle)).scores(rows)


def test_embeddings_are_looked_up_in_f32() -> None:
    import openvino

    model = openvino.Core().read_model(resource("models") / "starter" / MODEL)

    def stored_in_fp16() -> int:
        gathers = [node for node in model.get_ops() if node.get_type_name() == "Gather"]
        return sum(node.input_value(0).node.get_type_name() == "Convert" for node in gathers)

    assert stored_in_fp16() == 2  # words and positions
    network._widen_tables(model)
    assert stored_in_fp16() == 0


def test_tagging_loads_neither_openvinos_converter_nor_its_telemetry() -> None:
    code = "import sys; from train.tagging import Tagger; Tagger.load().tag(['路']); print(*sys.modules)"
    loaded = in_process("ALL", "-c", code).split()
    assert "openvino" in loaded
    assert not {"openvino_telemetry", "openvino.tools.ovc", "urllib.request", "http.client"} & set(loaded)


def test_openvinos_converter_can_still_be_imported_beside_a_tagger() -> None:
    code = "from train.tagging import Tagger; Tagger.load().tag(['路']); import openvino.tools.ovc as c; print(c.convert_model)"
    assert "convert_model" in in_process("ALL", "-c", code)
