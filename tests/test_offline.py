"""The folder for PCs without a network: what goes in, what its texts look like to cmd, and that it installs with the network denied."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest
from conftest import ROOT
from documents import write

from train import cli
from train.errors import OfflineError
from train.offline import folder as offline_folder
from train.offline.folder import make_folder
from train.offline.own_wheel import own_wheel, packed
from train.offline.pip import pip
from train.offline.target import Target
from train.offline.wheels import _missing, download

WINDOWS = Target("win_amd64", "3.11")
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


def offline(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """The one line on stderr of a `yaodian offline` that gives up."""
    monkeypatch.setattr(sys, "argv", ["yaodian", "offline", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    error = capsys.readouterr().err
    assert (stop.value.code, error.count("\n")) == (2, 1), error
    return error


def fake_wheel(folder: Path, name: str, version: str, *requires: str) -> Path:
    """A wheel that holds nothing but its requirements."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    lines = [
        "Metadata-Version: 2.1",
        f"Name: {name}",
        f"Version: {version}",
        *(f"Requires-Dist: {r}" for r in requires),
    ]
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}-{version}.dist-info/METADATA", "\n".join(lines) + "\n\n")
        wheel.writestr(
            f"{name}-{version}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{name}-{version}.dist-info/RECORD", "")
    return path


# ── The target ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--platform", "windows"], "--platform windows: expected win_amd64, manylinux_2_28_x86_64, macosx_11_0_arm64"),
        (["--python", "3.10"], "--python 3.10: expected 3.11 or later, such as 3.11"),
        (["--python", "three"], "--python three: expected 3.11 or later, such as 3.11"),
        (["--model", "none"], "none: no such bundle"),
    ],
)  # fmt: skip
def test_a_target_or_bundle_that_cannot_be_is_refused(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert offline(monkeypatch, capsys, tmp_path / "out", *arguments).startswith(message)
    assert not list(tmp_path.iterdir())


def test_pip_is_asked_for_older_glibc_too() -> None:
    options = Target("manylinux_2_28_aarch64", "3.12").pip_options()
    for wanted in (
        "manylinux_2_28_aarch64",
        "manylinux_2_17_aarch64",
        "manylinux2014_aarch64",
        "manylinux_2_5_aarch64",
    ):
        assert f"--platform={wanted}" in options
    assert "--python-version=3.12" in options


# ── Wheels ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("platform", "python", "missing"),
    [
        ("win_amd64", "3.11", ["colour>=1", "fast<2"]),
        ("win_arm64", "3.11", ["colour>=1"]),
        ("manylinux_2_28_x86_64", "3.11", ["fork"]),
        ("macosx_11_0_arm64", "3.12", []),
    ],
)
def test_what_is_missing_is_found_by_the_markers_of_the_target(
    platform: str, python: str, missing: list[str], tmp_path: Path
) -> None:
    own = fake_wheel(
        tmp_path, "yaodian", "1", "Shown[bright]>1", 'fork; sys_platform == "linux"', 'torch; extra == "train"'
    )
    shown = [
        'colour>=1; platform_system == "Windows" and extra == "bright"',
        'gone; extra == "dark"',
        'old; python_version < "3.11"',
    ]
    fake_wheel(tmp_path, "shown", "2", *shown, 'fast<2; platform_machine == "AMD64"', "yaodian")
    assert sorted(map(str, _missing(tmp_path, own, Target(platform, python)))) == missing


def test_requirements_of_requirements_are_downloaded_for_the_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, wheels = tmp_path / "index", tmp_path / "wheels"
    index.mkdir()
    wheels.mkdir()
    for version in ("1", "2"):
        fake_wheel(index, "colour", version, 'paint; os_name == "nt"')
    fake_wheel(index, "paint", "1")
    fake_wheel(index, "shown", "1", 'colour<2; platform_system == "Windows"')
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    download(fake_wheel(wheels, "yaodian", "1", "shown"), WINDOWS)
    assert sorted(w.name.split("-py3")[0] for w in wheels.iterdir()) == ["colour-1", "paint-1", "shown-1", "yaodian-1"]
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == []


def test_versions_are_those_that_run_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import version

    index, wheels = tmp_path / "index", tmp_path / "wheels"
    index.mkdir()
    wheels.mkdir()
    for each in (version("lxml"), "999"):
        fake_wheel(index, "lxml", each)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    download(fake_wheel(wheels, "yaodian", "1", "lxml"), WINDOWS)
    assert (wheels / f"lxml-{version('lxml')}-py3-none-any.whl").exists()


def test_without_a_network_or_a_wheel_or_pip_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = fake_wheel(tmp_path, "yaodian", "1", "lxml")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(
        OfflineError, match=r"^wheels: the package index does not answer; making the folder needs a network, or"
    ):
        download(own, WINDOWS)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(
        OfflineError, match=r"^wheels: there is no wheel of lxml(==.*)? for win_amd64 and Python 3.11; choose another"
    ):
        download(own, WINDOWS)
    venv.create(tmp_path / "bare", symlinks=True)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bare" / "bin" / "python"))
    with pytest.raises(OfflineError, match=r"^pip is missing from this Python; type: python -m ensurepip --upgrade$"):
        download(own, WINDOWS)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "the disk is full; free some"),
        ("usage:\nERROR: something else\n", r"pip failed \(ERROR: something else\)"),
        ("ERROR: Cannot install yaodian\n    The user requested (constraint) openvino==2\n", "there is no wheel of openvino==2 for ARM;"),
        ("", r"pip failed \(no reason given\)"),
    ],
)  # fmt: skip
def test_what_pip_says_becomes_one_line(said: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = subprocess.CompletedProcess([], 1, "", said)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(OfflineError, match=f"^wheels: {message}"):
        pip(["download"], "wheels", "ARM")


def installation(folder: Path) -> PathDistribution:
    """What pip leaves behind when it installs a wheel of ours."""
    info = "yaodian-0.1.0.dist-info"
    files = {
        "train/__init__.py": "", "train/models/甲.txt": "乙", f"{info}/METADATA": "Name: yaodian\nVersion: 0.1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\n", f"{info}/entry_points.txt": "", f"{info}/INSTALLER": "pip", f"{info}/REQUESTED": "",
        f"{info}/direct_url.json": "{}", "train/__pycache__/__init__.cpython-311.pyc": "",
    }  # fmt: skip
    for name, text in files.items():
        write(folder, name, text)
    names = [*files, f"{info}/RECORD", "../../../bin/yaodian"]
    write(folder, f"{info}/RECORD", "".join(f"{name},,\n" for name in names))
    return PathDistribution(folder / info)


def test_an_installation_is_packed_into_a_wheel_again(tmp_path: Path) -> None:
    wheel = zipfile.ZipFile(packed(installation(tmp_path / "site"), tmp_path))
    info = "yaodian-0.1.0.dist-info"
    names = [
        "train/__init__.py",
        "train/models/甲.txt",
        f"{info}/METADATA",
        f"{info}/WHEEL",
        f"{info}/entry_points.txt",
        f"{info}/RECORD",
    ]
    assert wheel.namelist() == names
    record = list(csv.reader(io.StringIO(wheel.read(f"{info}/RECORD").decode())))
    assert [name for name, _, _ in record] == names
    # The digest of "乙" in base64 with - and _, from `printf 乙 | openssl sha256 -binary | basenc --base64url`.
    assert record[1][1:] == ["sha256=cVMNTEnxLEidz8fW0bRtU1RsoFv9F3U5LJpCubeUS7s", "3"]


def test_an_installation_with_a_lost_file_or_without_a_list_is_refused(tmp_path: Path) -> None:
    found = installation(tmp_path / "site")
    (tmp_path / "site" / "train" / "models" / "甲.txt").unlink()
    with pytest.raises(
        OfflineError, match=r"^train/models/甲.txt of the installed yaodian is gone; type: pip install --force-"
    ):
        packed(found, tmp_path)
    (tmp_path / "site" / "yaodian-0.1.0.dist-info" / "RECORD").unlink()
    with pytest.raises(
        OfflineError, match=r"^the installation of yaodian does not list its files; type: pip install --force-"
    ):
        packed(found, tmp_path)


def test_a_copy_that_is_neither_checkout_nor_installation_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("train.offline.own_wheel.is_checkout", lambda: False)
    monkeypatch.setattr("train.offline.own_wheel._NAME", "yaodian-of-nobody")
    with pytest.raises(OfflineError, match="is not installed and this is no checkout; type: pip install"):
        own_wheel(tmp_path)


# ── The folder ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def kit(tmp_path: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose only wheel is a stand-in."""
    monkeypatch.setattr(offline_folder, "own_wheel", lambda wheels: fake_wheel(wheels, "yaodian", "1"))
    monkeypatch.setattr(offline_folder, "download", lambda *_: None)
    out = tmp_path / "离线 包&(1)"
    size = make_folder(out, bundle, WINDOWS)
    assert size == sum(p.stat().st_size for p in out.rglob("*") if p.is_file())
    return out


def test_the_folder_is_complete_and_sealed(kit: Path, bundle: Path) -> None:
    names = {p.relative_to(kit).as_posix() for p in kit.rglob("*") if p.is_file()}
    own = {"README.txt", "install.bat", "install.sh", "install.py", "tag.bat", "tag.sh", "kit.json", "SHA256SUMS"}
    assert names == own | {"plans/sample.txt", "wheels/yaodian-1-py3-none-any.whl"} | {
        f"bundle/{p.name}" for p in bundle.iterdir()
    }
    sums = dict(reversed(line.split("  ", 1)) for line in (kit / "SHA256SUMS").read_text(encoding="utf-8").splitlines())
    assert sums == {n: hashlib.sha256((kit / n).read_bytes()).hexdigest() for n in names - {"SHA256SUMS"}}
    assert os.access(kit / "install.sh", os.X_OK)
    assert [p.name for p in kit.parent.iterdir()] == [kit.name]


def test_files_beside_a_bundle_stay_behind(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "run"
    shutil.copytree(bundle, run)
    write(run, "checkpoint-100/optimizer.bin", "x")
    write(run, "log.txt", "x")
    monkeypatch.setattr(offline_folder, "own_wheel", lambda wheels: fake_wheel(wheels, "yaodian", "1"))
    monkeypatch.setattr(offline_folder, "download", lambda *_: None)
    make_folder(tmp_path / "out", run, WINDOWS)
    assert {p.name for p in (tmp_path / "out" / "bundle").iterdir()} == {p.name for p in bundle.iterdir()}


def test_batch_files_suit_cmd_on_any_code_page_and_in_any_folder(kit: Path) -> None:
    for name in ("install.bat", "tag.bat"):
        raw = (kit / name).read_bytes()
        assert raw.isascii()
        assert raw.count(b"\r\n") == raw.count(b"\n") == raw.count(b"\r") > 5
        text = raw.decode()
        assert "@PYTHON@" not in text
        assert "enabledelayedexpansion" not in text.lower()  # it would eat the ! of a folder's name
        assert "%*" not in text  # names of dropped files would be read as commands
        for line in text.splitlines():
            outside = re.sub(r'"[^"]*"', "", line)
            assert "%~dp0" not in outside, line
            assert line.count('"') % 2 == 0, line
        # What stands in brackets is read as a whole: a ) from a folder's name would end it early.
        for block in re.findall(r"\(\r\n(.*?)\r\n\)", text, re.DOTALL):
            assert "%" not in block
    assert 'py -3.11 -c "pass"' in (kit / "install.bat").read_text(encoding="ascii")


def test_the_readme_is_chinese_first_and_legible_in_any_notepad(kit: Path) -> None:
    raw = (kit / "README.txt").read_bytes()
    assert raw.startswith("\ufeff要点(yaodian):离线安装包\r\n".encode())
    assert raw.count(b"\r\n") == raw.count(b"\n")
    assert "Python 3.11" in raw.decode()


def test_the_output_must_be_new_or_empty_and_its_parent_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, "full/a.txt", "甲")
    message = offline(monkeypatch, capsys, tmp_path / "full")
    assert message == f"{tmp_path / 'full'}: exists and is not an empty folder; give another name\n"
    message = offline(monkeypatch, capsys, tmp_path / "none" / "out")
    assert f"the folder {tmp_path / 'none'} does not exist; create it or choose another" in message


def test_a_failure_leaves_nothing_behind(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(wheels: Path) -> Path:
        write(wheels, "half.whl", "x")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(offline_folder, "own_wheel", full)
    with pytest.raises(
        offline_folder.OutputError, match=r"out: cannot be written, the disk is full; free some space or choose"
    ):
        make_folder(tmp_path / "out", bundle, WINDOWS)
    assert list(tmp_path.iterdir()) == []


# ── The installer ─────────────────────────────────────────────────────────────────────────────────────────────────────


def install(kit: Path, *before: str) -> subprocess.CompletedProcess[str]:
    """Runs install.sh as on a machine where nothing of ours is set."""
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    return subprocess.run(
        [*before, "sh", str(kit / "install.sh")], env=environment, capture_output=True, text=True, timeout=280
    )


@pytest.fixture
def linux_kit(kit: Path) -> Path:
    """The stand-in, for the machine that runs the tests."""
    plan = {"python": HERE, "platform": "manylinux_2_28_x86_64", "wheel": "yaodian-1-py3-none-any.whl"}
    write(kit, "kit.json", json.dumps(plan))
    write(kit, "install.sh", (kit / "install.sh").read_text(encoding="utf-8").replace("3.11", HERE))
    sums = [line for line in (kit / "SHA256SUMS").read_text(encoding="utf-8").splitlines() if "  bundle/" in line]
    write(kit, "SHA256SUMS", "\n".join(sums) + "\n")
    return kit


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"python": "3.10"}, f"需要 Python 3.10,这里是 {HERE}。 Python 3.10 is needed, this is {HERE}.\n"),
        ({"platform": "win_amd64"}, "这个文件夹是为 win_amd64 准备的。 This folder is for win_amd64.\n"),
    ],
)
def test_the_installer_says_what_machine_it_is_for(linux_kit: Path, plan: dict[str, str], message: str) -> None:
    whole = json.loads((linux_kit / "kit.json").read_text(encoding="utf-8"))
    write(linux_kit, "kit.json", json.dumps(whole | plan))
    done = install(linux_kit)
    assert (done.returncode, done.stderr) == (2, message)


def test_the_installer_refuses_a_folder_that_was_damaged_on_the_way(linux_kit: Path) -> None:
    (linux_kit / "bundle" / "model.onnx").write_bytes(b"x")
    (linux_kit / "bundle" / "windows.json").unlink()
    done = install(linux_kit)
    assert done.returncode == 2
    assert done.stderr.endswith(
        "Missing or damaged: bundle/model.onnx, bundle/windows.json; copy the whole folder again.\n"
    )
    assert not (linux_kit / "env").exists()
    (linux_kit / "kit.json").unlink()
    done = install(linux_kit)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "无法读写文件" in done.stderr


def test_without_python_the_installer_points_to_the_readme(linux_kit: Path) -> None:
    text = (linux_kit / "install.sh").read_text(encoding="utf-8")
    write(linux_kit, "install.sh", text.replace(HERE, "3.99"))
    done = install(linux_kit)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith("Python 3.99 was not found; see README.txt.\n")
    done = subprocess.run(["sh", linux_kit / "tag.sh"], capture_output=True, text=True)
    assert (done.returncode, done.stderr.split("。")[1]) == (2, " Not installed yet: run install.sh first.\n")


@pytest.mark.slow(reason="makes an environment")
def test_an_installation_that_fails_says_so(linux_kit: Path) -> None:
    (linux_kit / "wheels" / "yaodian-1-py3-none-any.whl").unlink()
    done = install(linux_kit)
    assert done.returncode == 2
    assert done.stderr.endswith("The installation failed; the reason is above.\n")


def without_network() -> list[str]:
    """The command that runs another without a network."""
    command = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--net", "--map-root-user"]
    if not shutil.which("unshare") or subprocess.run([*command, "true"], capture_output=True).returncode:
        pytest.skip("the network cannot be denied here")
    return command


@pytest.mark.wheel(reason="downloads the wheels of the base installation and installs them, a minute and 700 MB")
def test_the_folder_installs_and_tags_with_the_network_denied(tmp_path: Path, bundle: Path) -> None:
    denied = without_network()
    site, kit = tmp_path / "site", tmp_path / "离线 包&(1)"
    wheel = own_wheel(tmp_path)  # built from the checkout; the installation made of it packs itself again
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", site, wheel], check=True
    )
    command = [
        sys.executable,
        "-m",
        "train.cli",
        "offline",
        str(kit),
        "--model",
        str(bundle),
        "--platform",
        "manylinux_2_28_x86_64",
    ]
    made = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(site)}, capture_output=True, text=True, timeout=240
    )
    if "the package index does not answer" in made.stderr:
        pytest.skip("no network to download wheels")
    assert re.fullmatch(
        r".*: \d+ MB, for manylinux_2_28_x86_64 and Python 3\.\d+; copy it there and run install.sh\n", made.stderr
    )
    assert not (ROOT / "build").exists()
    done = install(kit, *denied)
    assert (done.returncode, done.stderr) == (0, f"1 plans; written to {kit / 'tagged.xlsx'}\n")
    (kit / "tagged.xlsx").unlink()
    write(kit, "plans/甲.txt", "甲县2025年工作要点\n\n1.修好道路和桥梁,年内全部完工通车。\n")
    tagged = subprocess.run(
        [*denied, "sh", kit / "tag.sh"], env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, timeout=60
    )
    assert (tagged.returncode, tagged.stderr) == (0, f"2 plans; written to {kit / 'tagged.xlsx'}\n")
    foreign = {"torch", "transformers", "datasets", "sklearn", "pyarrow"}
    assert not foreign & {p.name for p in (kit / "env").glob("lib/python*/site-packages/*")}
