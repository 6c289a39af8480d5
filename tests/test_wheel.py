"""The artefact that people install is what is tested: built, unpacked elsewhere, run from another folder."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.wheel(reason="builds a wheel and starts fresh interpreters")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, timeout=240)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    target = tmp_path_factory.mktemp("site")
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--target",
        str(target),
        str(wheel),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return target


def run(installed, folder, *arguments):
    environment = {"PYTHONPATH": str(installed), "PATH": "/usr/bin:/bin", "HF_HUB_OFFLINE": "1", "HOME": str(folder)}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )


def test_the_wheel_has_one_import_name(wheel):
    names = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {n for n in names if not n.endswith(".dist-info")} == {"train"}


def test_the_wheel_brings_configs_labels_corpus_and_models_and_no_runs(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    for wanted in (
        "train/configs/train.yaml",
        "train/labels/taxonomy.yaml",
        "train/labels/codebook.md",
        "train/data/sample/sample.txt",
    ):
        assert wanted in names
    assert sum(n.startswith("train/data/starter/") and n.endswith(".jsonl") for n in names) >= 12
    assert not [n for n in names if "/runs/" in n or n.endswith(".pyc")]


def test_the_installed_wheel_reads_a_plan_from_another_folder(installed, tmp_path):
    sample = installed / "train" / "data" / "sample" / "sample.txt"
    done = run(installed, tmp_path, "-m", "train.cli", "items", str(sample))
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["number"] for row in rows] == [str(n) for n in range(1, 13)]


def test_the_installed_wheel_tags_with_the_shipped_bundle(installed, tmp_path):
    sample = installed / "train" / "data" / "sample" / "sample.txt"
    done = run(installed, tmp_path, "-m", "train.cli", "tag", str(sample), "-o", "out.jsonl")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 12
    assert all(0 <= score <= 1 for row in rows for score in row["scores"].values())


def test_the_installed_wheel_composes_its_training_config_from_another_folder(installed, tmp_path):
    done = run(installed, tmp_path, "-m", "train", "--cfg", "job")
    assert done.returncode == 0, done.stderr
    assert "leakage: drop" in done.stdout
