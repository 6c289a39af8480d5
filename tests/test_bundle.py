import json
import os
import random
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from train.errors import BundleError
from train.tagging import bundle as layout
from train.tagging.bundle import Bundle, default_bundle, learned_items, seal
from train.tagging.tagger import Tagger

NEEDED = ["model.onnx", "tokenizer.json", "taxonomy.yaml", "thresholds.json", "windows.json", "digests.json"]


@pytest.fixture
def copy(bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle, tmp_path / "copy"))


def resealed(folder: Path, name: str, content: str) -> Path:
    """The bundle with another file, as if it had been written so."""
    (folder / name).write_text(content, encoding="utf-8")
    seal(folder, [path.name for path in folder.iterdir() if path.name != layout.DIGESTS])
    return folder


def test_a_bundle_knows_its_themes_cuts_and_windows(bundle: Path, copy: Path) -> None:
    opened = Bundle.open(bundle)
    assert opened.taxonomy.keys == ["roads", "water", "schools"]
    assert opened.thresholds == (0.5, 0.5, 0.5)
    assert (opened.shape.max_length, opened.shape.overlap) == (32, 8)
    assert len(opened.version) == 12
    assert Bundle.open(str(copy)).version == opened.version
    cuts = {"roads": 0.1, "water": 0.2, "schools": 0.3}
    other = Bundle.open(resealed(copy, "thresholds.json", json.dumps(cuts)))
    assert other.thresholds == (0.1, 0.2, 0.3)
    assert other.version != opened.version


@pytest.mark.parametrize("name", NEEDED)
def test_a_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(
        BundleError, match=rf"copy: not a whole bundle, {name} missing; copy the folder again or retrain"
    ):
        Bundle.open(copy)


def test_all_missing_files_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=f"not a whole bundle, {', '.join(NEEDED)} missing"):
        Bundle.open(tmp_path)


@pytest.mark.parametrize("name", NEEDED[:-1])
def test_an_altered_file_is_named(copy: Path, name: str) -> None:
    with (copy / name).open("ab") as file:
        file.write(b" ")
    with pytest.raises(BundleError, match=rf"{name} differs from digests\.json; the bundle was altered or damaged"):
        Bundle.open(copy)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"none: no such bundle; give the folder of a run, --model models/runs/…"):
        Bundle.open(tmp_path / "none")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("thresholds.json", '{"roads": 0.5}', r"thresholds\.json is for roads, the taxonomy has roads, water, schools"),
        ("thresholds.json", '{"water": 1, "roads": 1, "schools": 1}', "is for water, roads, schools, the taxonomy"),
        ("thresholds.json", "[]", r"thresholds\.json: expected a JSON object; copy the bundle again or retrain"),
        ("windows.json", "{", r"windows\.json: not readable as JSON; copy the bundle again or retrain"),
        ("windows.json", '{"max_length": 3}', r"windows\.json is of another version"),
        ("tokenizer.json", "{}", "cannot be loaded"),
        ("model.onnx", "no network", "cannot be loaded"),
    ],
)
def test_a_bundle_that_does_not_fit_together_is_refused(copy: Path, name: str, content: str, message: str) -> None:
    with pytest.raises(BundleError, match=message) as stop:
        Tagger.load(resealed(copy, name, content))
    assert "\n" not in str(stop.value)


def test_digests_that_are_no_json_are_refused(copy: Path) -> None:
    (copy / "digests.json").write_text("x")
    with pytest.raises(BundleError, match=r"digests\.json: not readable as JSON"):
        Bundle.open(copy)


def test_the_shipped_bundle_is_taken_else_the_latest_run(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "resource", lambda name: tmp_path / "installed" / name)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        BundleError,
        match="no bundle is shipped and none was trained yet; run `make train`, or give one with --model DIR",
    ):
        default_bundle()
    for age, name in ((1, "old"), (0, "new"), (2, "unfinished")):
        run = Path(shutil.copytree(bundle, tmp_path / "models" / "runs" / name))
        os.utime(run / "digests.json", (1_700_000_000 - age,) * 2)
    (tmp_path / "models" / "runs" / "unfinished" / "digests.json").unlink()
    assert default_bundle().name == "new"
    shutil.copytree(bundle, tmp_path / "installed" / "models" / "starter")
    assert default_bundle() == tmp_path / "installed" / "models" / "starter"


def test_a_bundle_names_the_items_it_learned_from(tmp_path: Path) -> None:
    (tmp_path / "out_of_fold.jsonl").write_text('{"item": "0a"}\n{"plan": "p", "item": "1b"}\n{"item": "0a"}\n')
    assert learned_items(tmp_path) == {"0a", "1b"}


@pytest.mark.parametrize("content", [None, b"", b"\xff", b"{", b"[]\n", b"3\n", b'{"plan": "p"}\n'])
def test_where_those_items_cannot_be_read_none_are_named(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "out_of_fold.jsonl").write_bytes(content)
    assert learned_items(tmp_path) == set()


# ── Tampering ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def nothing_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the tokenizer nor the network may be touched by a bundle that is refused."""

    def fail(*_: object) -> None:
        raise AssertionError("loaded")

    monkeypatch.setattr("train.tagging.tagger.Runtime", fail)
    monkeypatch.setattr("train.taxonomy.yaml.safe_load", fail)


def refused(folder: Path) -> str:
    with pytest.raises(BundleError) as stop:
        Tagger.load(folder)
    assert "\n" not in str(stop.value)
    return str(stop.value)


@pytest.mark.usefixtures("nothing_loaded")
def test_any_altered_byte_of_any_file_is_found_before_one_is_loaded(copy: Path) -> None:
    (copy / "metrics.json").write_text("{}")
    seal(copy, [path.name for path in copy.iterdir() if path.name != layout.DIGESTS])
    draw = random.Random(0)
    for path in sorted(copy.iterdir()):
        raw = path.read_bytes()
        for at in {0, len(raw) - 1, *(draw.randrange(len(raw)) for _ in range(6))}:
            path.write_bytes(raw[:at] + bytes([raw[at] ^ 1 << draw.randrange(8)]) + raw[at + 1 :])
            said = refused(copy)
            assert said.startswith(f"{copy}")
            assert path.name == layout.DIGESTS or f"{path.name} differs from digests.json" in said
        path.write_bytes(raw)
    with pytest.raises(AssertionError, match="loaded"):
        Tagger.load(copy)


@pytest.mark.usefixtures("nothing_loaded")
def test_a_listed_file_that_is_missing_is_named_whether_tagging_needs_it_or_not(copy: Path) -> None:
    (copy / "metrics.json").write_text("{}")
    seal(copy, [path.name for path in copy.iterdir() if path.name != layout.DIGESTS])
    (copy / "metrics.json").unlink()
    assert refused(copy).endswith("not a whole bundle, metrics.json missing; copy the folder again or retrain")


@pytest.mark.usefixtures("nothing_loaded")
@pytest.mark.parametrize(
    "name", ["pytorch_model.bin", "model.PKL", "optimizer.pt", "weights.data", "other.onnx", "modeling.py"]
)
def test_weights_and_code_that_were_not_sealed_are_refused(copy: Path, name: str) -> None:
    (copy / name).write_bytes(b"cos\nsystem\n(S'echo owned'\ntR.")
    assert f"{name} does not belong to the bundle; remove it, or copy the bundle again" in refused(copy)


def test_notes_beside_a_bundle_do_no_harm(copy: Path) -> None:
    (copy / "Thumbs.db").write_bytes(b"x")
    (copy / "notes.txt").write_text("x")
    (copy / "checkpoints").mkdir()
    assert Bundle.open(copy).version


@pytest.mark.usefixtures("nothing_loaded")
def test_pickled_weights_instead_of_the_network_are_refused(copy: Path) -> None:
    digests = json.loads((copy / "digests.json").read_text())
    (copy / "model.onnx").rename(copy / "pytorch_model.bin")
    digests["pytorch_model.bin"] = digests.pop("model.onnx")
    (copy / "digests.json").write_text(json.dumps(digests))
    assert "not a whole bundle, model.onnx missing" in refused(copy)


@pytest.mark.usefixtures("nothing_loaded")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d | {"../secret": "0" * 64}, r"names files outside the folder \('\.\./secret'\)"),
        (lambda d: d | {"/etc/passwd": "0" * 64}, "names files outside the folder"),
        (lambda d: d | {"..": "0" * 64}, "names files outside the folder"),
        (lambda d: {k: v for k, v in d.items() if k != "model.onnx"}, r"digests\.json lacks model\.onnx"),
        (lambda d: d | {"model.onnx": None}, r"model\.onnx differs from digests\.json"),
        (lambda d: d | {"model.onnx": d["taxonomy.yaml"]}, r"model\.onnx differs from digests\.json"),
    ],
)
def test_an_edited_list_of_digests_is_refused(
    copy: Path, change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    digests = json.loads((copy / "digests.json").read_text())
    (copy / "digests.json").write_text(json.dumps(change(digests)))
    assert re.search(message, refused(copy))


@pytest.mark.usefixtures("nothing_loaded")
def test_digests_nested_without_end_are_refused(copy: Path) -> None:
    (copy / "digests.json").write_text('{"a":' + "[" * 200_000)
    assert "digests.json: not readable as JSON" in refused(copy)


@pytest.mark.usefixtures("nothing_loaded")
def test_a_link_out_of_the_folder_is_refused(copy: Path, tmp_path: Path) -> None:
    (copy / "model.onnx").rename(tmp_path / "elsewhere.onnx")
    (copy / "model.onnx").symlink_to(tmp_path / "elsewhere.onnx")
    assert "model.onnx is a link out of the folder; copy the files themselves" in refused(copy)


@pytest.mark.usefixtures("nothing_loaded")
@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "digests.json"])
def test_a_file_larger_than_any_bundle_has_it_is_refused_unread(copy: Path, name: str) -> None:
    with (copy / name).open("r+b") as file:
        file.truncate(3 << 30)  # sparse: takes no room on the disk
    begin = time.process_time()
    assert "larger than any bundle has it" in refused(copy)
    assert time.process_time() - begin < 1


def test_a_network_whose_weights_lie_in_other_files_is_refused(copy: Path, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load(copy / "model.onnx")
    onnx.external_data_helper.convert_model_to_external_data(
        model, location="weights", size_threshold=0, convert_attribute=True
    )
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            entry.value = "../../../../etc/passwd" if entry.key == "location" else entry.value

    (copy / "model.onnx").write_bytes(model.SerializeToString())
    seal(copy, [path.name for path in copy.iterdir() if path.name != layout.DIGESTS])
    assert "model.onnx takes its weights from other files, which a bundle never does" in refused(copy)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("thresholds.json", '{"roads": "x", "water": 2, "schools": 0.5}', "no number from 0 to 1 for roads, water"),
        ("thresholds.json", '{"roads": NaN, "water": 1, "schools": 0.5}', "no number from 0 to 1 for roads"),
        ("windows.json", '{"max_length": 99999999, "overlap": 8, "max_path": 8, "headings": true, "cls_id": 2, "sep_id": 3, "pad_id": 0}', "sizes that no network has"),
        ("windows.json", '{"max_length": 32, "overlap": "8", "max_path": 8, "headings": true, "cls_id": 2, "sep_id": 3, "pad_id": 0}', "sizes that no network has"),
    ],
)  # fmt: skip
def test_figures_out_of_their_range_are_refused(copy: Path, name: str, content: str, message: str) -> None:
    assert message in refused(resealed(copy, name, content))


def test_nothing_in_the_package_unpickles() -> None:
    allowed = {
        "torch.load(self.state_file, map_location=self._device, weights_only=True)"
    }  # tensors only, of its own run
    forbidden = re.compile(
        r"^\s*(?:import|from) +(?:pickle|joblib|shelve|marshal|dill|cloudpickle)\b|torch\.load\(.*|np\.load\((?!.*allow_pickle=False).*"
        r"|yaml\.(?:unsafe_|full_)?load\(|trust_remote_code=True|(?<![.\w])(?:eval|exec)\(",
        re.MULTILINE,
    )
    sources = (path.read_text(encoding="utf-8") for path in Path(layout.__file__).parents[1].rglob("*.py"))
    assert {match[0] for source in sources for match in forbidden.finditer(source)} <= allowed
