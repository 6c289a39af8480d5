import json
import os
import shutil
from pathlib import Path

import pytest

from train.errors import BundleError
from train.tagging import bundle as layout
from train.tagging.bundle import Bundle, default_bundle, seal
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
