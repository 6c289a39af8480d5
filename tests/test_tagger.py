import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import FILLER, ROOT
from documents import paragraph, word_file, write

import train
from train import Tagger, read_plan
from train.errors import BrokenFile, BundleError, InputError
from train.rows import Row
from train.tagging import bundle as layout
from train.tagging import runtime
from train.tagging.network import _precision
from train.tagging.runtime import Runtime

PLAN = "甲县2025年工作要点\n\n一、建设\n1.修好道路和桥梁,年内全部完工通车。(责任单位:交通局)\n2.治理河湖,年内全部达标。\n3.完善工作机制,持续推进。\n"


@pytest.fixture(scope="module")
def tagger(bundle: Path) -> Tagger:
    return Tagger.load(bundle)


def labels(rows: list[Row]) -> list[list[str]]:
    return [row["labels"] for row in rows]


def test_texts_are_tagged_with_themes_and_scores(tagger: Tagger) -> None:
    rows = tagger.tag(["推进道路建设", "全年完成", "校园河湖"])
    assert labels(rows) == [["roads"], [], ["water", "schools"]]
    # The logits of the test bundle are 4 and -4: 1 / (1 + e^-4) = .982014
    assert rows[0]["scores"] == {"roads": 0.982014, "water": 0.017986, "schools": 0.017986}


def test_a_file_a_plan_and_a_path_as_text_are_tagged_alike(tagger: Tagger, tmp_path: Path) -> None:
    path = write(tmp_path, "甲县.txt", PLAN)
    rows = tagger.tag(path)
    assert rows == tagger.tag(str(path)) == tagger.tag(read_plan(path))
    assert [(r["number"], r["labels"], r["units"]) for r in rows] == [
        ("1", ["roads"], "(责任单位:交通局)"),
        ("2", ["water"], ""),
        ("3", [], ""),
    ]
    assert rows[0]["path"] == ["一、建设"]
    assert "交通局" not in rows[0]["text"]


def test_headings_are_read_with_the_text(tagger: Tagger) -> None:
    row = {"plan": "a", "text": "持续推进", "path": ["一、道路"], "我的列": 1, "labels": ["old"]}
    assert tagger.tag_rows([row]) == [row | {"labels": ["roads"], "scores": tagger.tag(["路"])[0]["scores"]}]
    assert tagger.tag_rows([row | {"path": None}])[0]["labels"] == []


def test_a_theme_at_the_end_of_a_long_item_is_found(tagger: Tagger) -> None:
    long = FILLER * 6
    assert labels(tagger.tag([long, long + "桥", "桥" + long, long + "桥" + long])) == [[], *[["roads"]] * 3]


def test_scores_do_not_depend_on_neighbours_or_their_number(tagger: Tagger, rows: list[Row]) -> None:
    together = tagger.tag_rows(rows)
    assert together == [tagged for row in rows for tagged in tagger.tag_rows([row])]
    assert [row["labels"] for row in together] == [row["labels"] for row in rows]  # the invented rows are that easy


def test_odd_texts_are_tagged_too(tagger: Tagger) -> None:
    assert labels(tagger.tag(["", " ", "\ud800路", "\0", "😀", "[SEP]河"])) == [[], [], ["roads"], [], [], ["water"]]
    assert tagger.tag([]) == []


def test_progress_is_told_in_items(bundle: Path, rows: list[Row], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "CHUNK", 50)
    tagger, told = Tagger.load(bundle), list[int]()
    tagger.tag_rows(rows, told.append)
    assert told == [50, 50, 20]  # 120 rows, no two alike
    tagger.tag_rows([*rows, rows[0] | {"text": "新"}], told.append)
    assert told[3:] == [120, 1]  # what is remembered first


def test_what_occurs_again_is_computed_once(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tagger, computed = Tagger.load(bundle), list[int]()
    tokenise = Runtime._windows
    monkeypatch.setattr(Runtime, "_windows", lambda self, items: computed.append(len(items)) or tokenise(self, items))
    monkeypatch.setattr(runtime, "REMEMBERED", 2)
    assert labels(tagger.tag(["路", "河", "路", "路"])) == [["roads"], ["water"], ["roads"], ["roads"]]
    tagger.tag_rows([{"text": "路", "path": ["一、河"]}, {"text": "路", "path": []}])  # other headings, another item
    assert computed == [2, 1]
    tagger.tag(["路"])
    assert computed == [2, 1]
    tagger.tag(["河"])  # forgotten: the two that were asked for last are kept
    assert computed == [2, 1, 1]


def test_threads_that_ask_at_once_get_their_own_scores(tagger: Tagger, rows: list[Row]) -> None:
    parts = [rows[at : at + 20] for at in range(0, len(rows), 20)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(tagger.tag_rows, parts)) == [tagger.tag_rows(part) for part in parts]


def test_a_network_that_does_not_compile_is_said_when_it_is_first_needed(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("train.tagging.network._precision", lambda core: "no precision")
    tagger = Tagger.load(bundle)
    with pytest.raises(BundleError, match=r"^\S+: cannot be loaded \(") as stop:
        tagger.tag(["路"])
    assert "\n" not in str(stop.value)


def test_a_network_without_the_outputs_of_today_is_named(bundle: Path, tmp_path: Path) -> None:
    import onnx

    old = shutil.copytree(bundle, tmp_path / "old")
    network = onnx.load(old / layout.MODEL)
    del network.graph.output[1]
    onnx.save(network, old / layout.MODEL)
    layout.seal(old, [p.name for p in old.iterdir() if p.name != layout.DIGESTS])
    with pytest.raises(
        BundleError, match=r"old: model.onnx has no output named states; it is of another version, train it again"
    ):
        Tagger.load(old)


@pytest.mark.parametrize(
    ("processor", "capabilities", "limit", "precision"),
    [
        ("Intel(R) Core(TM) i5-12400", ["FP32", "INT8", "BIN"], "", "f32"),
        ("Intel(R) Xeon(R) Gold 6330H", ["BF16", "FP32", "INT8", "BIN"], "", "f32"),  # no matrix units: slower than f32
        ("Intel(R) Xeon(R) Processor", ["BF16", "FP32", "FP16", "INT8", "BIN"], "", "bf16"),
        ("Neoverse-N1", ["FP32", "FP16", "INT8", "BIN"], "", "f32"),  # ARM, not measured
        ("AMD Ryzen 5 5600G", ["FP32", "INT8", "BIN"], "", "f32"),
        ("AMD EPYC", ["BF16", "FP32", "INT8", "BIN"], "", "bf16"),
        ("AMD EPYC", ["BF16", "FP32", "INT8", "BIN"], "ALL", "bf16"),
        ("AMD EPYC", ["BF16", "FP32", "INT8", "BIN"], "avx512_core", "f32"),
        ("AMD EPYC", ["BF16", "FP32", "INT8", "BIN"], "AVX2", "f32"),
    ],
)
def test_bf16_is_taken_where_its_products_are_faster(
    processor: str, capabilities: list[str], limit: str, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    properties = {"OPTIMIZATION_CAPABILITIES": capabilities, "FULL_DEVICE_NAME": processor}
    core = SimpleNamespace(get_property=lambda device, name: properties[name])
    assert _precision(core) == precision


def test_what_cannot_be_read_is_named(tagger: Tagger, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        tagger.tag(tmp_path / "none.txt")
    with pytest.raises(BrokenFile, match="zip directory"):
        tagger.tag(write(tmp_path, "a.docx", word_file(paragraph("一、路"))[:-30]))


def test_public_names_are_what_they_say() -> None:
    assert sorted(train.__all__) == ["Item", "Plan", "Tagger", "read_plan"]
    assert all(getattr(train, name).__module__.startswith("train.") for name in train.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'tagger_'"):
        _ = train.tagger_


def test_tagging_never_imports_torch(bundle: Path) -> None:
    code = (
        "import sys; from train import Tagger; "
        f"rows = Tagger.load({str(bundle)!r}).tag(['路']); "
        "print(rows[0]['labels'], [m for m in ('torch', 'transformers', 'sklearn', 'hydra', 'datasets') if m in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert said.stdout.strip() == "['roads'] []"
