"""Readers that hang, crash or eat the memory: each costs its own file and no other."""

from __future__ import annotations

import hashlib
import os
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
from conftest import ROOT
from documents import write

from train.errors import YaodianError, shown
from train.plans import readers
from train.plans.files import Found
from train.plans.readers import Readers, Reading

GOOD = "甲县2025年工作要点\n1.修好道路和桥梁,年内全部完工通车。\n"
# Python runs a module of this name at its start: here it makes the reader of plain text do what the text says.
HOSTILE = """
import os, time
from train.plans.formats import text
whole = text.text_lines
def text_lines(content):
    if "HANG" in content: time.sleep(600)
    if "SPIN" in content:
        import re; re.match("(a+)+$", "a" * 64 + "b")
    if "EXIT" in content: os._exit(7)
    if "SEGFAULT" in content:
        import ctypes; ctypes.string_at(0)
    if "HUGE" in content: bytearray(4 << 30)
    if "FAULT" in content: raise SystemExit("bye")
    if "PRINT" in content: print("{}"); os.write(2, b"noise"); os.write(1, b"noise\\n")
    return whole(content)
text.text_lines = text_lines
"""


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "site", "sitecustomize.py", HOSTILE)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tmp_path / "site"), str(ROOT))))


def files(folder: Path, texts: Iterable[str]) -> list[tuple[int, Found]]:
    return [(at, Found(write(folder, f"{at}.txt", GOOD + text), f"{at}.txt")) for at, text in enumerate(texts)]


def read(found: list[tuple[int, Found]], n: int = 1, timeout: float = 60) -> list[Reading]:
    with Readers(n, timeout) as pool:
        return sorted(pool.read(found), key=lambda r: r.at)


@pytest.mark.usefixtures("hostile")
@pytest.mark.skipif(sys.platform == "win32", reason="exit codes and memory limits of POSIX")
def test_a_reader_that_dies_costs_its_file_and_no_other(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    found = files(tmp_path, ["", "EXIT", "", "SEGFAULT", "PRINT", "FAULT", "HUGE", ""])
    failures = [reading.failure for reading in read(found, 2)]
    advice = ": open it in its program and save it anew"
    assert failures[:6] == ["", f"its reader died (exit code 7){advice}", "", f"its reader died (SIGSEGV){advice}", "",
                            f"its reader died (exit code 1){advice}"]  # fmt: skip
    assert failures[6].startswith("needs more memory than there is: split it")
    assert failures[7] == ""
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("hostile")
@pytest.mark.parametrize("kind", ["HANG", "SPIN"])
def test_a_file_that_takes_too_long_is_left_and_the_others_go_on(tmp_path: Path, kind: str) -> None:
    """Also in the middle of a regular expression, which lets no other thread of Python run."""
    began = time.monotonic()
    failures = [reading.failure for reading in read(files(tmp_path, ["", kind, ""]), timeout=3)]
    assert failures == ["", "took more than 3 s to read; --timeout gives it more", ""]
    assert 3 <= time.monotonic() - began < 60


@pytest.mark.usefixtures("hostile")
def test_leaving_early_ends_readers_in_the_middle_of_a_file(tmp_path: Path) -> None:
    began = time.monotonic()
    with Readers(2, 600) as pool:
        next(pool.read(files(tmp_path, ["", "HANG", "HANG", ""])))
    assert time.monotonic() - began < 60
    assert not [thread for thread in threading.enumerate() if thread.name == "reader"]


def test_readings_carry_rows_and_the_digest_of_the_content(tmp_path: Path) -> None:
    (reading,) = read(files(tmp_path, [""]))
    assert [(row["plan"], row["number"]) for row in reading.rows] == [("0.txt", "1")]
    assert reading.digest == hashlib.sha256(GOOD.encode()).hexdigest()
    assert reading.notes == []


def test_no_more_files_are_under_way_than_twice_the_readers(tmp_path: Path) -> None:
    taken: list[int] = []
    found = files(tmp_path, [""] * 9)
    with Readers(2) as pool:
        read = pool.read((taken.append(at), (at, file))[1] for at, file in found)
        next(read)
        time.sleep(0.2)
        assert len(taken) == 5  # four at first, one more for the one that is read
        assert len(list(read)) == 8


def test_a_reader_that_cannot_start_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "_START", "raise SystemExit(3)")
    with pytest.raises(YaodianError, match="a reader ended before it began; give fewer --workers, or install yaodian"):
        read(files(tmp_path, [""]))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    with pytest.raises(
        YaodianError, match=r"a reader cannot be started \(No such file or directory\); give fewer --wor"
    ):
        read(files(tmp_path, [""]))


def test_a_faulty_program_is_no_faulty_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception that no reader should raise is reported with its type."""
    write(
        tmp_path / "site",
        "sitecustomize.py",
        "import train.plans.plan as p\ndef f(*_): raise KeyError('x')\np._read = f",
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tmp_path / "site"), str(ROOT))))
    assert [r.failure for r in read(files(tmp_path, [""]))] == ["its reader failed (KeyError: 'x')"]


@pytest.mark.parametrize(
    ("name", "as_shown"),
    [
        ("要点 2025.txt", "要点 2025.txt"),
        ("a\nb", "a\\nb"),
        ("\u202eb", "\\u202eb"),
        ("\udce9", "\\udce9"),
        ("　全", "　全"),
    ],
)
def test_names_are_shown_on_one_line(name: str, as_shown: str) -> None:
    assert shown(name) == as_shown
