"""A tagging job as a whole: taken up after a kill, locked, told of changed files, and cheap to disturb nothing else."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from conftest import FILLER, POOLS, ROOT
from documents import paragraph, pdf_file, word_file, write

from train import batch, cli
from train.rows import Row, read_rows, write_rows
from train.tagging.bundle import seal
from train.tagging.journal import Journal
from train.tagging.tagger import Tagger

KINDS = (".txt", ".docx", ".pdf")
SUFFIXES = (".jsonl", ".csv", ".xlsx", ".parquet", ".html")
needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="signals, links and mounts")
Run = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `yaodian`: (exit code, lines on stderr)."""

    def command(*arguments: str | Path) -> tuple[int, list[str]]:
        monkeypatch.setattr(sys, "argv", ["yaodian", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return int(stop.value.code or 0), capsys.readouterr().err.splitlines()

    return command


def plan_text(at: int) -> str:
    pool = [*POOLS.values()][at % 3]
    items = "".join(f"{n}.{FILLER[n : n + 20]}{pool[n % 4]}。\n" for n in range(1, 6))
    return f"甲{at}县2025年工作要点\n一、建设\n{items}"


def plan_file(folder: Path, at: int, suffix: str) -> None:
    text = plan_text(at)
    content: str | bytes = text
    if suffix == ".docx":
        content = word_file("".join(map(paragraph, text.split())))
    elif suffix == ".pdf":
        content = pdf_file([[(72, 80 + 30 * n, line) for n, line in enumerate(text.split())]])
    write(folder, f"{at:02}{suffix}", content)


@pytest.fixture
def plans(tmp_path: Path) -> Path:
    for at in range(6):
        plan_file(tmp_path / "plans", at, KINDS[at % 3])
    return tmp_path / "plans"


class Cut(Exception):
    """Stands for a kill in the middle of a job."""


@pytest.fixture(autouse=True)
def plan_by_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs in this process tag one plan at a time, so that they can be cut between any two."""
    monkeypatch.setattr(batch, "TOGETHER", 1)


@pytest.fixture
def cut_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Lets the next job fail once it has tagged so many plans; 0 for never again. `tagged` counts them."""
    whole = Tagger.tag_rows

    def set_cut(n: int) -> None:
        left = iter(range(n))

        def tag_rows(self: Tagger, rows: Any) -> Any:
            if next(left, None) is None:
                raise Cut
            return whole(self, rows)

        monkeypatch.setattr(Tagger, "tag_rows", tag_rows if n else whole)

    return set_cut


@pytest.fixture
def tagged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the plans in the order they are finished."""
    names: list[str] = []
    add = Journal.add

    def noted(self: Journal, at: int, digest: str, rows: Any) -> None:
        add(self, at, digest, rows)
        names.append(rows[0]["plan"])

    monkeypatch.setattr(Journal, "add", noted)
    return names


def cut_job(plans: Path, out: Path, bundle: Path, set_cut: Callable[[int], None], n: int = 3) -> None:
    set_cut(n)
    with pytest.raises(Cut):
        batch.tag_files([plans], out, bundle, 1, 60, False)
    set_cut(0)


def litter(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.name.startswith(".") or "-" in p.name)


# ── Taking a job up ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_job_that_was_cut_short_goes_on_and_gives_the_same_bytes(
    run: Run,
    plans: Path,
    bundle: Path,
    tmp_path: Path,
    cut_after: Callable[[int], None],
    tagged: list[str],
    suffix: str,
) -> None:
    write(plans, "bad.txt", b"")
    whole, out = tmp_path / f"whole{suffix}", tmp_path / f"out{suffix}"
    assert run("tag", plans, "-o", whole, "--model", bundle, "--workers", "2")[0] == 1
    tagged.clear()
    cut_job(plans, out, bundle, cut_after)
    assert not out.exists()
    assert litter(tmp_path) == [f".out{suffix}.journal"]
    code, lines = run("tag", plans, "-o", out, "--model", bundle)
    assert (code, lines[0]) == (1, "3 of 7 plans were finished before; going on")
    assert lines[-1] == f"6 plans, 1 could not be read; written to {out}"
    assert out.read_bytes() == whole.read_bytes()
    assert sorted(tagged) == [f"{at:02}{('.txt', '.docx', '.pdf')[at % 3]}" for at in range(6)]  # none twice
    assert litter(tmp_path) == []


def test_changed_added_and_removed_files_are_noticed(
    run: Run, plans: Path, bundle: Path, tmp_path: Path, cut_after: Callable[[int], None], tagged: list[str]
) -> None:
    out = tmp_path / "o.jsonl"
    cut_job(plans, out, bundle, cut_after)
    assert sorted(tagged) == ["00.txt", "01.docx", "02.pdf"]
    tagged.clear()
    stat = (plans / "00.txt").stat()
    text = plan_text(0).replace("甲0县", "乙0县")  # as long as before, and dated as before
    os.utime(write(plans, "00.txt", text), ns=(stat.st_atime_ns, stat.st_mtime_ns))
    (plans / "01.docx").unlink()
    os.utime(plans / "02.pdf", (1, 1))  # another date, the same content
    plan_file(plans, 9, ".txt")
    code, lines = run("tag", plans, "-o", out, "--model", bundle)
    assert (code, lines[0]) == (0, "1 of 6 plans were finished before; going on")
    assert sorted(tagged) == ["00.txt", "03.txt", "04.docx", "05.pdf", "09.txt"]
    titles = {row["plan"]: row["title"] for row in read_rows(out)}
    assert list(titles) == ["00.txt", "02.pdf", "03.txt", "04.docx", "05.pdf", "09.txt"]
    assert titles["00.txt"].startswith("乙0县")


def test_a_plan_under_another_name_is_read_again(
    run: Run, plans: Path, bundle: Path, tmp_path: Path, cut_after: Callable[[int], None]
) -> None:
    """Rows name a plan relative to the folder that was given."""
    out = tmp_path / "o.jsonl"
    cut_job(plans, out, bundle, cut_after)
    assert run("tag", tmp_path, "-o", out, "--model", bundle) == (0, [f"6 plans; written to {out}"])
    assert {row["plan"] for row in read_rows(out)} >= {"plans/00.txt"}


def test_another_model_refuses_to_go_on_and_says_what_to_do(
    run: Run, plans: Path, bundle: Path, tmp_path: Path, cut_after: Callable[[int], None]
) -> None:
    other = shutil.copytree(bundle, tmp_path / "other")
    (other / "notes.txt").write_text("another")
    seal(other, [p.name for p in other.iterdir() if p.name != "digests.json"])
    out = tmp_path / "o.jsonl"
    cut_job(plans, out, bundle, cut_after)
    code, (line,) = run("tag", plans, "-o", out, "--model", other)
    assert code == 2
    assert line.startswith(f"{out}: an unfinished run was made with bundle ")
    assert line.endswith("finish it with that, add --restart to begin anew, or give another output")
    assert run("tag", plans, "-o", tmp_path / "p.jsonl", "--model", other)[0] == 0
    assert run("tag", plans, "-o", out, "--model", bundle)[1][0].startswith("3 of 6")
    cut_job(plans, out, bundle, cut_after)
    assert run("tag", plans, "-o", out, "--model", other, "--restart") == (0, [f"6 plans; written to {out}"])


def test_another_version_of_the_program_refuses_to_go_on(
    run: Run,
    plans: Path,
    bundle: Path,
    tmp_path: Path,
    cut_after: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "o.jsonl"
    cut_job(plans, out, bundle, cut_after)
    monkeypatch.setattr(batch, "__version__", "9")
    monkeypatch.setattr(batch, "CONTRACT", 2)
    code, (line,) = run("tag", plans, "-o", out, "--model", bundle)
    assert code == 2
    assert "was made with yaodian 0.1.0 (now 9), rows 1 (now 2); finish it" in line


def test_a_torn_journal_loses_its_last_plans_and_no_more(run: Run, plans: Path, bundle: Path, tmp_path: Path) -> None:
    """What a power cut leaves: the log ends in the middle of a transaction."""
    out, folder = tmp_path / "o.jsonl", tmp_path / ".o.jsonl.journal"
    run("tag", plans, "-o", tmp_path / "whole.jsonl", "--model", bundle)
    code = (
        "import os, sys; from pathlib import Path; from train import batch; from train.tagging import Tagger\n"
        "batch.TOGETHER, whole, left = 1, Tagger.tag_rows, iter(range(4))\n"
        "def tag_rows(self, rows):\n"
        "    if next(left, None) is None: os._exit(9)\n"
        "    return whole(self, rows)\n"
        "Tagger.tag_rows = tag_rows\n"
        f"batch.tag_files([Path({str(plans)!r})], Path({str(out)!r}), Path({str(bundle)!r}), 1, 60, False)"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 9
    log = folder / "plans.sqlite-wal"
    with log.open("r+b") as file:
        file.truncate(log.stat().st_size - 2000)
    code, lines = run("tag", plans, "-o", out, "--model", bundle)
    assert (code, lines[0]) == (0, "3 of 6 plans were finished before; going on")
    assert out.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_a_damaged_journal_is_named_and_can_be_thrown_away(run: Run, plans: Path, bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "o.jsonl"
    write(tmp_path / ".o.jsonl.journal", "plans.sqlite", b"no database" * 1000)
    code, (line,) = run("tag", plans, "-o", out, "--model", bundle)
    assert code == 2
    assert line == f"{out}: the journal of an unfinished run is damaged; add --restart to begin anew"
    assert run("tag", plans, "-o", out, "--model", bundle, "--restart") == (0, [f"6 plans; written to {out}"])
    assert litter(tmp_path) == []


def test_stopping_by_hand_says_what_is_kept(
    run: Run, plans: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, left = Tagger.tag_rows, iter(range(2))

    def tag_rows(self: Tagger, rows: Any) -> Any:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return whole(self, rows)

    monkeypatch.setattr(Tagger, "tag_rows", tag_rows)
    code, lines = run("tag", plans, "-o", tmp_path / "o.jsonl", "--model", bundle)
    assert (code, lines[0]) == (130, "2 of 6 plans are kept; the same command goes on from there")


def test_small_plans_are_tagged_together_and_get_the_scores_they_have_alone(
    run: Run, plans: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(plans, "bad.txt", b"")
    alone, together = tmp_path / "alone.jsonl", tmp_path / "together.jsonl"
    assert run("tag", plans, "-o", alone, "--model", bundle)[0] == 1
    sizes, whole = list[int](), Tagger.tag_rows

    def tag_rows(self: Tagger, rows: Any) -> Any:
        sizes.append(len(rows))
        return whole(self, rows)

    monkeypatch.setattr(Tagger, "tag_rows", tag_rows)
    monkeypatch.setattr(batch, "TOGETHER", 12)
    assert run("tag", plans, "-o", together, "--model", bundle, "--workers", "1")[0] == 1
    assert sizes == [15, 15, 0]  # six plans of five items; the broken file comes last
    assert together.read_bytes() == alone.read_bytes()


def test_what_an_earlier_run_wrote_into_the_folder_is_no_plan(run: Run, plans: Path, bundle: Path) -> None:
    for _ in range(2):
        assert run("tag", plans, "-o", plans / "o.html", "--model", bundle) == (
            0,
            [f"6 plans; written to {plans / 'o.html'}"],
        )


def test_a_result_is_not_replaced_where_no_plan_can_be_read(run: Run, bundle: Path, tmp_path: Path) -> None:
    out, scan = tmp_path / "o.csv", tmp_path / "旧.doc"
    out.write_text("what was there", encoding="utf-8")
    scan.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
    for command in (("tag", scan, "-o", out, "--model", bundle), ("items", scan, "-o", out)):
        code, lines = run(*command)
        assert (code, len(lines), lines[-1]) == (2, 2, f"{out}: not written, as no plan could be read")
    assert out.read_text(encoding="utf-8") == "what was there"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["o.csv", "旧.doc"]


def test_rows_are_not_tagged_onto_themselves(run: Run, bundle: Path, rows: list[Row], tmp_path: Path) -> None:
    folder = tmp_path / "rows"
    folder.mkdir()
    write_rows(folder / "mine.jsonl", rows[:3])
    before = (folder / "mine.jsonl").read_bytes()
    message = f"{folder / 'mine.jsonl'}: is to be tagged, and its labels would be lost; give another output"
    assert run("tag", folder / "mine.jsonl", "-o", folder / "mine.jsonl", "--model", bundle) == (2, [message])
    for _ in range(2):  # the second time the output stands in the folder
        out = folder / "tagged.jsonl"
        assert run("tag", folder, "-o", out, "--model", bundle) == (0, [f"3 rows; written to {out}"])
    assert (folder / "mine.jsonl").read_bytes() == before


# ── Kills ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def start(plans: Path, out: Path, bundle: Path, *options: str) -> subprocess.Popen[bytes]:
    """A job in a process of its own, which tags a hundred items at a time, so that its journal grows in steps."""
    code = "from train import batch, cli; batch.TOGETHER = 100; cli.main()"
    line = [sys.executable, "-c", code, "tag", str(plans), "-o", str(out), "--model", str(bundle), *options]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(line, stderr=subprocess.PIPE, env=environment, cwd=out.parent)


class Children:
    """The readers of a job, gathered as soon as there are two."""

    def __init__(self, job: subprocess.Popen[bytes]) -> None:
        self._found: list[psutil.Process] = []
        while job.poll() is None and len(self._found) < 2:
            self._found = psutil.Process(job.pid).children()

    def end_within(self, seconds: float) -> bool:
        return bool(self._found) and not psutil.wait_procs(self._found, timeout=seconds)[1]


def journal_bytes(out: Path) -> int:
    folder = out.with_name(f".{out.name}.journal")
    try:
        return sum(p.stat().st_size for p in folder.iterdir() if p.name != "part")
    except OSError:
        return 0


def kill_at(process: subprocess.Popen[bytes], out: Path, size: int, pause: float) -> bool:
    """Kills a job a moment after its journal has so many bytes; False if it was done before."""
    while process.poll() is None and journal_bytes(out) < size:
        time.sleep(0.002)
    time.sleep(pause)
    process.kill()
    process.communicate()
    return process.returncode != 0


def resume(plans: Path, out: Path, bundle: Path, *options: str) -> int:
    """Lets a job run to its end; the bytes its journal had at most."""
    process = start(plans, out, bundle, *options)
    most = 0
    while process.poll() is None:
        most = max(most, journal_bytes(out))
        time.sleep(0.002)
    process.communicate()
    assert process.returncode == 0
    return most


@needs_posix
def test_a_killed_job_goes_on_and_leaves_no_reader_behind(plans: Path, bundle: Path, tmp_path: Path) -> None:
    out, whole = tmp_path / "o.xlsx", tmp_path / "whole.xlsx"
    full = resume(plans, whole, bundle, "--workers", "1")
    process = start(plans, out, bundle, "--workers", "2")
    readers = Children(process)
    assert kill_at(process, out, full // 2, 0)
    assert readers.end_within(20)
    assert not out.exists()
    resume(plans, out, bundle, "--workers", "2")
    assert out.read_bytes() == whole.read_bytes()
    assert litter(tmp_path) == []


@needs_posix
@pytest.mark.slow(reason="fifty starts of the program")
@pytest.mark.parametrize(
    ("workers", "suffix"), [("1", ".jsonl"), ("1", ".html"), ("2", ".xlsx"), ("2", ".parquet"), ("2", ".csv")]
)
def test_ten_kills_at_random_points_lose_no_row(bundle: Path, tmp_path: Path, workers: str, suffix: str) -> None:
    """Five jobs of eighty plans, ten kills each: wherever the journal stood, at the start, or while the output was written."""
    draw = random.Random(f"{workers}{suffix}")
    for at in range(80):  # of five items: four times as many as are tagged together
        plan_file(tmp_path / "plans", at, KINDS[at % 3])
    plans, out, whole = tmp_path / "plans", tmp_path / f"o{suffix}", tmp_path / f"whole{suffix}"
    full = resume(plans, whole, bundle, "--workers", "1")
    n_kills = 0
    while n_kills < 10:
        size = journal_bytes(out) + draw.randrange(full // 4)
        if kill_at(start(plans, out, bundle, "--workers", workers), out, size, draw.uniform(0, 0.02)):
            n_kills += 1
        else:  # done before the journal had grown so far: the next job begins anew
            assert out.read_bytes() == whole.read_bytes()
    resume(plans, out, bundle, "--workers", workers)
    assert out.read_bytes() == whole.read_bytes()
    assert litter(tmp_path) == []


# ── Two runs, full disks, odd places ──────────────────────────────────────────────────────────────────────────────────


def test_a_second_run_into_the_same_output_is_refused(run: Run, plans: Path, bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "o.jsonl"
    holder = (
        "import sys; from pathlib import Path; from train.tagging.journal import Journal\n"
        f"with Journal(Path({str(out)!r}), {{}}): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"held\n"
        for options in ([], ["--restart"]):
            code, (line,) = run("tag", plans, "-o", out, "--model", bundle, *options)
            assert code == 2
            assert line == f"{out}: another run is writing it; wait until it ends, or give another output"
        process.kill()  # and its lock goes with it
    assert run("tag", plans, "-o", out, "--model", bundle) == (0, [f"6 plans; written to {out}"])


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    line = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    try:
        subprocess.run(line, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs the right to mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@needs_posix
def test_a_full_disk_is_named_and_loses_nothing(
    run: Run, bundle: Path, tmp_path: Path, small_disk: Path, tagged: list[str]
) -> None:
    for at in range(12):
        plan_file(tmp_path / "plans", at, ".txt")
    out = small_disk / "o.jsonl"
    (small_disk / "else").write_bytes(bytes(120_000))
    code, (line,) = run("tag", tmp_path / "plans", "-o", out, "--model", bundle)
    assert code == 2
    assert line.startswith(f"{out}: the disk is full; free some space and give the same command again")
    assert 0 < len(tagged) < 12
    (small_disk / "else").unlink()
    n_before = len(tagged)
    code, lines = run("tag", tmp_path / "plans", "-o", out, "--model", bundle)
    assert (code, lines[0]) == (0, f"{n_before} of 12 plans were finished before; going on")
    assert len(read_rows(out)) == 12 * 5
    assert sorted(tagged) == [f"{at:02}.txt" for at in range(12)]


@needs_posix
def test_a_disk_that_is_full_from_the_start_is_left_as_it_was(
    run: Run, plans: Path, bundle: Path, small_disk: Path
) -> None:
    with (small_disk / "else").open("wb", buffering=0) as file:
        while file.write(bytes(4096)) == 4096 and file.tell() < 256 << 10:
            pass
    code, (line,) = run("tag", plans, "-o", small_disk / "o.jsonl", "--model", bundle)
    assert code == 2
    assert "the disk is full; free some space" in line
    assert [p.name for p in small_disk.iterdir()] == ["else"]


@needs_posix
def test_a_limit_on_file_sizes_is_one_line(plans: Path, bundle: Path, tmp_path: Path) -> None:
    code = (
        "import resource, sys; from train import cli; resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))\n"
        f"sys.argv = ['yaodian', 'tag', {str(plans)!r}, '-o', 'o.jsonl', '--model', {str(bundle)!r}]; cli.main()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert re.fullmatch(
        r"o\.jsonl: its journal cannot be written \(.*\); give the same command again.*\n", ended.stderr
    )


def test_a_folder_that_cannot_be_written_is_named(
    run: Run, plans: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)  # root, who may run the tests, may write anywhere
    code, (line,) = run("tag", plans, "-o", tmp_path / "o.jsonl", "--model", bundle)
    assert code == 2
    assert line.startswith(f"{tmp_path}/o.jsonl: cannot be written, no permission, or the file is open in another")
    assert litter(tmp_path) == []


@needs_posix
def test_odd_names_are_one_line_each_and_come_back_in_rows(run: Run, bundle: Path, tmp_path: Path) -> None:
    plans = tmp_path / "plans"
    odd = [
        "行\n号.txt",
        "\u202etxt.要点.txt",
        "-o.txt",
        "a'b\"c;d.txt",
        "　全角 空格.txt",
        "x" * 251 + ".txt",
        "\x1b[31m红.txt",
    ]
    for name in odd:
        write(plans, name, plan_text(0))
    raw = os.fsencode(plans) + b"/" + "要点.txt".encode("gb18030")
    Path(os.fsdecode(raw)).write_text(plan_text(1), encoding="utf-8")
    write(plans, "坏\n.txt", b"")
    (plans / "loop.txt").symlink_to("loop.txt")
    (plans / "gone.txt").symlink_to("nowhere")
    (plans / "round").symlink_to(plans)
    out = tmp_path / ("要" * 80 + ".jsonl")
    code, lines = run("tag", plans, "-o", out, "--model", bundle)
    assert code == 1
    assert sorted(lines[:-1]) == [
        f"{plans}/gone.txt: cannot be read: no such file or folder",
        f"{plans}/loop.txt: cannot be read: Too many levels of symbolic links",
        f"{plans}/坏\\n.txt: an empty file",
    ]
    assert lines[-1] == f"8 plans, 3 could not be read; written to {out}"
    assert {row["plan"] for row in read_rows(out)} == {*odd, "要点.txt"}
    assert litter(tmp_path) == []


def test_a_file_that_vanishes_after_it_was_listed_is_named(
    run: Run, plans: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = Journal.take

    def take_and_lose(self: Journal, files: Any) -> None:
        take(self, files)
        (plans / "03.txt").unlink()

    monkeypatch.setattr(Journal, "take", take_and_lose)
    code, lines = run("tag", plans, "-o", tmp_path / "o.jsonl", "--model", bundle)
    assert code == 1
    assert lines[0] == f"{plans}/03.txt: cannot be read: no such file or folder"
    assert lines[1].startswith("5 plans, 1 could not be read")
