"""The commands as a user types them: exit code 0, 1 or 2, and for the user's fault one line on stderr."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path

import pytest
from conftest import ROOT
from documents import package, paragraph, pdf_file, scanned_pdf, word_file, word_parts, write

from train import __main__ as training
from train import cli, errors
from train.errors import EncoderError, YaodianError
from train.evaluation.run import training_rows
from train.rows import Row, content_id, read_rows, write_rows
from train.tagging.bundle import Bundle

PLAN = (
    "甲县2025年工作要点\n\n一、建设\n1.修好道路和桥梁,年内全部完工通车。(责任单位:交通局)\n2.治理河湖,年内全部达标。\n"
)
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `yaodian` with these arguments: (exit code, stdout, stderr)."""

    def command(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["yaodian", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        out, error = capsys.readouterr()
        return int(stop.value.code or 0), out, error

    return command


@pytest.fixture
def plans(tmp_path: Path) -> Path:
    write(tmp_path / "plans", "甲县/甲县.txt", PLAN)
    write(tmp_path / "plans", "乙县.docx", word_file("".join(map(paragraph, PLAN.split()))))
    return tmp_path / "plans"


def one_line(error: str) -> str:
    assert error.count("\n") == 1, error
    assert "Traceback" not in error
    return error


# ── items and tag ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_items_prints_a_row_for_each_item(run: Run, plans: Path) -> None:
    code, out, error = run("items", plans)
    rows = [json.loads(line) for line in out.splitlines()]
    assert (code, error) == (0, "")
    assert [(r["plan"], r["number"]) for r in rows] == [
        (plan, number) for plan in ("乙县.docx", "甲县/甲县.txt") for number in "12"
    ]
    assert "labels" not in rows[0]


def test_items_reports_what_became_no_item_and_can_leave_repairs_out(run: Run, plans: Path, tmp_path: Path) -> None:
    out = tmp_path / "o.jsonl"
    code, _, error = run("items", plans, "--skipped", "-o", out)
    assert code == 0
    assert "甲县/甲县.txt: 2 items; repaired lines: none" in error
    assert "甲县/甲县.txt:1: title: 甲县2025年工作要点" in error
    write(plans, "丙县.txt", "丙縣2025年工作要點\n\n1.深化醫藥衛生體制改革。\n")
    texts = [run("items", plans / "丙县.txt", "--without", names)[1] for names in ("", "traditional")]
    assert ["深化医药卫生体制改革" in texts[0], "深化醫藥衛生體制改革" in texts[1]] == [True, True]
    code, _, error = run("items", plans, "--without", "magic")
    assert code == 2
    assert one_line(error).startswith("--without: ")


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".xlsx", ".parquet", ".html"])
def test_tag_writes_every_format(run: Run, plans: Path, bundle: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"标注{suffix}"
    code, printed, error = run("tag", plans, "-o", out, "--model", bundle)
    assert (code, printed) == (0, "")
    assert one_line(error) == f"2 plans; written to {out}\n"
    assert out.stat().st_size > 100
    if suffix == ".jsonl":
        assert [row["labels"] for row in read_rows(out)] == [["roads"], ["water"]] * 2


def test_files_that_fail_are_named_and_the_others_go_on(run: Run, plans: Path, bundle: Path, tmp_path: Path) -> None:
    entity = '<?xml version="1.0"?><!DOCTYPE w [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><w>&b;</w>'
    bomb = package(word_parts(paragraph("甲")) | {"word/media/a.bin": bytes(50 << 20)})
    bad = {
        "broken.docx": (word_file(paragraph("甲"))[:-30], "damaged: its zip directory cannot be read"),
        "bomb.docx": (bomb, "a zip bomb: word/media/a.bin unpacks more than 200 : 1"),
        "entity.docx": (
            package(word_parts("") | {"word/document.xml": entity}),
            "declares a document type, which no Word",
        ),
        "locked.pdf": (
            pdf_file([[(72, 100, "一、医改")]], password="geheim"),
            "asks for a password: open it, print it to",
        ),
        "old.doc": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", ".doc is not read: open it in Word or WPS and save as .docx"),
        "program.exe": (b"x", ".exe is not read; what is: .txt .md .html"),
        "scan.pdf": (scanned_pdf(), "a scan, pictures of pages without text: run OCR"),
        "empty.txt": (b"", "an empty file"),
    }
    for name, (content, _) in bad.items():
        write(plans, name, content)
    with (plans / "huge.txt").open("wb") as file:
        file.truncate(200 << 20)  # sparse: takes no room
    messages = {name: message for name, (_, message) in bad.items()}
    messages["huge.txt"] = "200.0 MiB, more than the 64 MiB read: split it, or remove its pictures"
    out = tmp_path / "out.jsonl"
    code, _, error = run("tag", plans, "-o", out, "--model", bundle)
    assert code == 1
    lines = error.splitlines()
    for name, message in messages.items():
        assert [line for line in lines if line.startswith(f"{plans / name}: ") and message in line], (name, error)
    assert lines[-1] == f"2 plans, {len(messages)} could not be read; written to {out}"
    assert len(lines) == len(messages) + 1
    assert len(read_rows(out)) == 4
    code, printed, error = run("items", plans / "old.doc")
    assert (code, printed) == (1, "")
    assert ".doc is not read" in one_line(error)


def test_a_plan_without_items_is_named(run: Run, tmp_path: Path) -> None:
    code, out, error = run("items", write(tmp_path, "a.txt", "通知\n"))
    assert (code, out) == (1, "")
    assert "`yaodian items --skipped` shows" in one_line(error)
    code, out, error = run("items", tmp_path / "a.txt", "--skipped")
    assert (code, out) == (1, "")
    assert error.splitlines() == [
        f"{tmp_path / 'a.txt'}: no items found in it",
        "a.txt: 0 items; repaired lines: none",
        "a.txt:1: after the plan: 通知",
    ]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_rows_that_cannot_be_printed_are_one_line(tmp_path: Path) -> None:
    path = write(tmp_path, "a.txt", "1.推进医改。\n")
    with Path("/dev/full").open("w") as full:
        line = [sys.executable, "-m", "train.cli", "items", str(path)]
        run = subprocess.run(line, stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert (run.returncode, run.stderr) == (2, "standard output: cannot be written (No space left on device)\n")


# ── The user's fault ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_missing_and_empty_folders_are_named(run: Run, tmp_path: Path, bundle: Path) -> None:
    for command in (["items"], ["tag", "-o", tmp_path / "o.csv", "--model", bundle]):
        code, out, error = run(*command, tmp_path / "nowhere")
        assert (code, out) == (2, "")
        assert one_line(error) == f"{tmp_path / 'nowhere'}: no such file or folder\n"
        (tmp_path / "empty").mkdir(exist_ok=True)
        code, out, error = run(*command, tmp_path / "empty")
        assert (code, out) == (2, "")
        assert "no file to read in it: looked for .txt" in one_line(error)
    assert not (tmp_path / "o.csv").exists()


def test_outputs_that_cannot_be_written_are_named(
    run: Run, plans: Path, gold: Path, bundle: Path, tmp_path: Path
) -> None:
    file = write(tmp_path, "file", "x")
    cases: list[tuple[list[str | Path], str]] = [
        (["items", plans, "-o", tmp_path / "none" / "o.csv"], "does not exist; create it or choose another"),
        (["tag", plans, "--model", bundle, "-o", tmp_path / "o.doc"], "unknown format .doc; name the output .jsonl"),
        (["tag", plans, "--model", bundle, "-o", plans], "plans"),
        (["evaluate", gold, "--model", bundle, "--json", file / "x.json"], "x.json: cannot be written (Not a directory)"),
        (["evaluate", gold, "--model", bundle, "--html", tmp_path], "cannot be written (Is a directory); choose another place"),
    ]  # fmt: skip
    for arguments, message in cases:
        code, _, error = run(*arguments)
        assert code == 2
        assert message in error.splitlines()[-1]
        assert "Traceback" not in error


def test_a_bundle_with_a_fault_is_named(run: Run, plans: Path, tmp_path: Path, bundle: Path) -> None:
    code, _, error = run("tag", plans, "-o", tmp_path / "o.csv", "--model", tmp_path / "none")
    assert code == 2
    assert "none: no such bundle; give the folder of a run" in one_line(error)
    code, _, error = run("tag", plans, "-o", tmp_path / "o.csv", "--model", plans)
    assert code == 2
    assert "not a whole bundle, model.onnx, tokenizer.json, taxonomy.yaml" in one_line(error)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tag", "x"], "Missing option '-o' / '--output'. See `yaodian tag --help`."),
        (["tags"], "No such command 'tags'."),
        (["items"], "Missing argument 'paths'. See `yaodian items --help`."),
        (["items", "--fast", "x"], "No such option: --fast"),
    ],
)
def test_slips_of_the_keyboard_are_one_line(run: Run, arguments: list[str], message: str) -> None:
    code, out, error = run(*arguments)
    assert (code, out) == (2, "")
    assert message in one_line(error)


def test_help_lists_the_commands_and_is_shown_without_arguments(run: Run) -> None:
    code, out, error = run()
    assert (code, error) == (0, "")
    assert all(name in out for name in ("items", "tag", "evaluate", "train", "pretrain"))
    assert run("--help")[1] == out
    assert "--model" in run("tag", "--help")[1]


def test_stopping_is_said_in_a_word(run: Run, plans: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("train.batch.read_items", stop)
    code, _, error = run("items", plans)
    assert code == 130
    assert "Traceback" not in error


def test_stopping_pretraining_is_said_in_a_word(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("train.learning.pretraining_run.pretrain", stop)
    code, _, error = run("pretrain", f"text.path={tmp_path}")
    assert (code, error) == (130, "stopped; the same command goes on from the last state that was written\n")


def test_a_pipe_that_closes_early_and_a_chinese_windows_are_no_faults(tmp_path: Path) -> None:
    write(
        tmp_path,
        "a.txt",
        "甲县2025年工作要点\n\n一、建设\n"
        + "".join(f"{n}.修好道路和桥梁,年内全部完工通车。\n" for n in range(1, 3000)),
    )
    line = [sys.executable, "-m", "train.cli", "items", str(tmp_path / "a.txt")]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "gbk", "PYTHONUNBUFFERED": ""}
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    assert process.stdout
    assert process.stderr
    assert json.loads(process.stdout.readline())["text"].startswith("修好道路")
    process.stdout.close()
    assert (process.wait(), process.stderr.read()) == (0, b"")
    process.stderr.close()


# ── evaluate ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_evaluate_prints_and_writes_the_figures(run: Run, gold: Path, bundle: Path, tmp_path: Path) -> None:
    code, out, error = run(
        "evaluate", gold, "--model", bundle, "--json", tmp_path / "f.json", "--html", tmp_path / "f.html"
    )
    figures = json.loads((tmp_path / "f.json").read_text(encoding="utf-8"))
    assert code == 0
    assert (figures["n_items"], figures["n_plans"], figures["macro_f1"]) == (120, 10, 1.0)
    assert set(figures["per_label"]) == {"roads", "water", "schools"}
    assert "1.000" in out
    assert one_line(error).startswith(
        "without baselines: the rows this bundle was trained on are not here; name them with --train"
    )
    assert "</html>" in (tmp_path / "f.html").read_text(encoding="utf-8")


def test_evaluate_trains_the_baselines_on_the_rows_it_is_given(
    run: Run, gold: Path, bundle: Path, tmp_path: Path
) -> None:
    code, out, error = run("evaluate", gold, "--model", bundle, "--train", gold, "--json", tmp_path / "f.json")
    assert (code, error) == (0, "")
    assert "baselines" in json.loads((tmp_path / "f.json").read_text(encoding="utf-8"))
    assert "TF-IDF" in out


def test_the_baselines_learn_what_the_bundle_learned_and_nothing_that_was_dropped(
    gold: Path, bundle: Path, rows: list[Row], tmp_path: Path
) -> None:
    """Plans 0 to 4 were in the training part; of plan 4 the run left all out, as near-repeats of what is held out."""
    folder = Path(shutil.copytree(bundle, tmp_path / "bundle"))
    plans = list(dict.fromkeys(r["plan"] for r in rows))
    scored = [{"item": content_id(r)} for r in rows if r["plan"] in plans[:4]]
    (folder / "out_of_fold.jsonl").write_text("".join(json.dumps(line) + "\n" for line in scored))
    (folder / "split.json").write_text(json.dumps({"train": plans[:5], "validation": [], "test": plans[5:]}))
    opened = Bundle.open(folder)
    for n_folds, learned in ((2, plans[:4]), (0, plans[:5])):
        (folder / "config.yaml").write_text(json.dumps({"data": {"path": str(gold), "n_folds": n_folds}}))
        assert list(dict.fromkeys(r["plan"] for r in training_rows(opened, None))) == learned


def knows(folder: Path, bundle: Path, learned: list[Row]) -> Path:
    """A copy of the bundle that keeps the ids of these rows as those it learned from."""
    shutil.copytree(bundle, folder)
    lines = [json.dumps({"plan": row["plan"], "item": content_id(row)}) + "\n" for row in learned]
    (folder / "out_of_fold.jsonl").write_text("".join(lines), encoding="utf-8")
    return folder


def test_items_the_bundle_learned_from_are_known_by_id_though_its_rows_are_not_here(
    run: Run, gold: Path, bundle: Path, rows: list[Row], tmp_path: Path
) -> None:
    model, figures = knows(tmp_path / "model", bundle, rows[:36]), tmp_path / "f.json"
    code, out, error = run("evaluate", gold, "--model", model, "--json", figures)
    assert code == 0
    assert "36 of 120 items nearly repeat items that the model was trained on" in " ".join(out.split())
    assert "without baselines" in one_line(error)
    found = json.loads(figures.read_text(encoding="utf-8"))
    assert (found["repeated"], found["without_near_duplicates"]["n_items"]) == (36, 84)
    write_rows(tmp_path / "p.jsonl", rows[:12])
    _, out, _ = run("evaluate", tmp_path / "p.jsonl", "--model", model)
    assert "12 of 12 items nearly repeat items that the model was trained on: this F1 says nothing" in " ".join(
        out.split()
    )


def test_rows_learned_from_are_told_by_their_ids_and_by_what_they_say(
    run: Run, bundle: Path, rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copied sentence in another plan, and a short row that is the same row; a short one of another plan may be chance."""
    monkeypatch.setitem(sys.modules, "datasketch", None)  # only training installs it
    short = rows[13] | {"text": "修路。", "labels": ["roads"]}
    write_rows(tmp_path / "learned.jsonl", [*rows[:12], short])
    cases = [rows[0] | {"plan": "乙县.docx"}, short, short | {"plan": "乙县.docx"}, rows[30]]
    for n_rows, n_repeats in ((4, 2), (2, 2)):
        write_rows(tmp_path / "gold.jsonl", cases[:n_rows])
        arguments = ["--model", bundle, "--train", tmp_path / "learned.jsonl", "--json", tmp_path / "f.json"]
        assert run("evaluate", tmp_path / "gold.jsonl", *arguments)[0] == 0
        assert json.loads((tmp_path / "f.json").read_text(encoding="utf-8"))["repeated"] == n_repeats


def adapted(folder: Path, bundle: Path, gold: Path, plans: list[str], **told: str | None) -> Path:
    """A copy of the bundle that says it learned from these plans of the gold rows, and from what else."""
    shutil.copytree(bundle, folder)
    data = {"path": str(gold), "n_folds": 0, "rehearsal": told.get("rehearsal")}
    (folder / "config.yaml").write_text(json.dumps({"init": told.get("init"), "data": data}))
    (folder / "split.json").write_text(json.dumps({"train": plans, "validation": [], "test": []}))
    return folder


@pytest.mark.parametrize(
    ("told", "others"),
    [
        ({"init": "models/starter"}, "models/starter"),
        ({"init": "models/runs/one", "rehearsal": "builtin"}, "models/runs/one and the starter corpus"),
        ({"rehearsal": "more.jsonl"}, "more.jsonl"),
    ],
)
def test_baselines_that_know_less_than_an_adapted_model_are_said_to(
    run: Run, gold: Path, bundle: Path, rows: list[Row], tmp_path: Path, told: dict[str, str], others: str
) -> None:
    plans = list(dict.fromkeys(row["plan"] for row in rows))[:3]
    model, figures, page = (
        adapted(tmp_path / "m", bundle, gold, plans, **told),
        tmp_path / "f.json",
        tmp_path / "f.html",
    )
    own = "the baselines know this run's own 36 rows only; the model also learned from those of " + others
    given = f"the baselines know the 120 rows of {gold} only; the model also learned from those of {others}, which may not be among them"
    for note, arguments in ((own, ()), (given, ("--train", gold))):
        code, out, _ = run("evaluate", gold, "--model", model, "--json", figures, "--html", page, *arguments)
        assert code == 0
        assert json.loads(figures.read_text(encoding="utf-8"))["notes"] == [note]
        assert "".join(note.split()) in "".join(out.split())  # lines break anywhere
        assert f'<span class="en" lang="en">{escape(note)}</span>' in page.read_text(encoding="utf-8")


def test_nothing_is_said_of_baselines_that_learned_from_the_same_rows_or_are_not_there(
    run: Run, gold: Path, bundle: Path, rows: list[Row], tmp_path: Path
) -> None:
    plans = list(dict.fromkeys(row["plan"] for row in rows))[:3]
    alone = adapted(tmp_path / "alone", bundle, gold, plans)
    without = adapted(tmp_path / "without", bundle, tmp_path / "moved.jsonl", plans, init="models/starter")
    for model in (alone, without):
        code, out, _ = run("evaluate", gold, "--model", model, "--json", tmp_path / "f.json")
        assert (code, "the baselines know" in out) == (0, False)
        assert "notes" not in json.loads((tmp_path / "f.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("plan_key", "n_plans"), [(None, 120), ("document", 10)])
def test_gold_rows_and_rows_for_the_baselines_are_told_apart_as_the_bundles_were(
    run: Run, bundle: Path, rows: list[Row], tmp_path: Path, plan_key: str | None, n_plans: int
) -> None:
    """Labelled sentences from elsewhere belong to no plan, or to one under another name."""
    model = Path(shutil.copytree(bundle, tmp_path / "model"))
    (model / "config.yaml").write_text(json.dumps({"data": {"path": "elsewhere.jsonl", "plan_key": plan_key}}))
    sentences = [{"text": row["text"], "labels": row["labels"]} | {str(plan_key): row["plan"]} for row in rows]
    write_rows(tmp_path / "sent.jsonl", sentences)
    sent, figures = tmp_path / "sent.jsonl", tmp_path / "f.json"
    code, _, error = run("evaluate", sent, "--model", model, "--train", sent, "--json", figures)
    assert (code, error) == (0, "")
    found = json.loads(figures.read_text(encoding="utf-8"))
    assert (found["n_items"], found["n_plans"], found["repeated"]) == (120, n_plans, 120)
    assert list(found["baselines"]) == ["keyword_list", "tfidf_linear"]


def test_gold_rows_with_unknown_themes_are_all_named(run: Run, gold: Path, bundle: Path, tmp_path: Path) -> None:
    lines = gold.read_text(encoding="utf-8").splitlines()
    for at, key in ((3, "rods"), (7, "air")):
        lines[at] = json.dumps(json.loads(lines[at]) | {"labels": [key]}, ensure_ascii=False)
    bad = write(tmp_path, "bad.jsonl", "\n".join(lines))
    code, out, error = run("evaluate", bad, "--model", bundle)
    assert (code, out) == (2, "")
    for part in (
        "2 rows break the row contract",
        "line 4: 甲0县2025.docx 4.: unknown theme rods",
        "line 8: 甲0县2025.docx 8.: unknown",
    ):
        assert part in one_line(error)


# ── train ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def inputs(gold: Path, taxonomy_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    return [f"labels={taxonomy_file}", f"data.path={gold}", "encoder=untrained", "run.dir=run"]


def test_training_names_what_is_wrong_with_its_inputs(
    run: Run, inputs: list[str], taxonomy_file: Path, tmp_path: Path
) -> None:
    text = taxonomy_file.read_text(encoding="utf-8")
    double = write(tmp_path, "double.yaml", text.replace("key: water", "key: roads"))
    more = write(tmp_path, "more.yaml", text + text.split("\n", 1)[1].split("- key: water")[0].replace("roads", "air"))
    cases = [
        ([f"labels={double}"], "double.yaml: duplicate key roads"),
        ([f"labels={more}"], "no training example of air: hold out other plans (data.held_out), annotate more"),
        (["labels=none.yaml"], "none.yaml: cannot be read (No such file or directory); give a taxonomy file, labels=PATH"),
        (["data.path=none.jsonl"], "none.jsonl: no such file; expected item rows as JSON Lines"),
        (["data.plan_key=documnet"], "data.plan_key=documnet: no row of "),
        (["data.plan_key=documnet"], "gold.jsonl has it; the first has plan, "),
        (['data.held_out=["丙.docx"]'], "held-out plans not in the data: 丙.docx"),
        (["data.n_folds=50"], "50 folds need at least as many plans, the training data has 9; set data.n_folds lower"),
        (["optim.epochs=0", "optim.lr=2"], "optim.epochs must be at least 1, got 0; optim.lr must be between 0 and 1, got 2"),
        (["optim.epochs=x"], "training settings: optim.epochs: Value 'x'"),
        (["optim.epoch=3"], "Could not override 'optim.epoch'"),
        (["optim.epochs"], "optim.epochs"),
        (["encoder=robert"], "Could not find 'encoder/robert'"),
        (["run.sample=none.txt"], "run.sample=none.txt: no such file"),
        (["init=none"], "init=none: no bundle there; expected a folder with config.json and model.safetensors"),
        (["encoder.path=./none"], "encoder.path=./none: no encoder there; expected a folder with config.json"),
        ([f"run.dir={double}/x"], "cannot be written (Not a directory); choose another run.dir"),
    ]  # fmt: skip
    before = sorted(tmp_path.rglob("*"))
    for overrides, message in cases:
        names = {override.split("=")[0] for override in overrides}
        code, out, error = run("train", *(i for i in inputs if i.split("=")[0] not in names), *overrides)
        assert (code, out) == (2, ""), overrides
        assert message in one_line(error)
        assert sorted(tmp_path.rglob("*")) == before, overrides  # nothing is written


@pytest.fixture
def silent_hub() -> Iterator[str]:
    """The address of a server that takes calls and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.slow(reason="starts four processes that import torch")
def test_an_encoder_from_the_hub_without_a_network_fails_within_seconds(
    inputs: list[str], tmp_path: Path, silent_hub: str
) -> None:
    advice = "without a network give a folder, encoder.path=FOLDER, or use encoder=yaodian, which is shipped"
    cases = [
        ({"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set"),
        ({"HF_ENDPOINT": "http://127.0.0.1:9"}, "http://127.0.0.1:9 does not answer: [Errno 111] Connection refused"),
        ({"HF_ENDPOINT": silent_hub}, f"{silent_hub} does not answer: timed out"),
        ({"HF_ENDPOINT": "https://hub.invalid"}, "https://hub.invalid does not answer: [Errno"),
    ]
    overrides = [*inputs[:2], "encoder=macbert_base", "run.dir=run"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HF_HOME": str(tmp_path)}
    started = time.monotonic()
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "train", *overrides], env=environment | extra, stderr=subprocess.PIPE, text=True
        )
        for extra, _ in cases
    ]
    for process, (_, why) in zip(processes, cases, strict=True):
        error = one_line(process.communicate(timeout=60)[1])
        assert process.returncode == 2
        assert (
            f"encoder hfl/chinese-macbert-base: is not on this machine and cannot be fetched; {advice} ({why}" in error
        )
    assert time.monotonic() - started < 60  # four processes that import torch; the hub's client alone takes a minute
    assert not (tmp_path / "run").exists()


def test_the_hub_is_asked_once_and_briefly(silent_hub: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    from train.learning import encoder

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(encoder, "_REACH_SECONDS", 0.2)
    for url, why in ((silent_hub, "timed out"), ("http://127.0.0.1:9", r"\[Errno \d+\] Connection refused")):
        monkeypatch.setattr(constants, "ENDPOINT", url)
        with pytest.raises(EncoderError, match=f"encoder a/b: is not on this machine .*{url} does not answer: {why}"):
            encoder.load_tokenizer("a/b", [])
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(EncoderError, match=r"is shipped \(HF_HUB_OFFLINE is set\)"):
        encoder.load_tokenizer("a/b", [])


@pytest.mark.parametrize("module", ["hydra", "torch", "transformers", "datasketch"])
def test_a_missing_extra_is_named_with_what_to_type(inputs: list[str], tmp_path: Path, module: str) -> None:
    code = f"import sys; sys.modules[{module!r}] = None; sys.argv = ['yaodian', 'train', *{inputs!r}]; from train.cli import main; main()"
    said = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert said.returncode == 2
    assert "packages are not installed; type: pip install 'yaodian[train]'" in one_line(said.stderr)
    assert not (tmp_path / "run").exists()


def test_evaluate_without_scikit_learn_goes_on_without_baselines(
    run: Run, gold: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [m for m in sys.modules if m.split(".")[0] == "sklearn"] or ["sklearn"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    code, _, error = run("evaluate", gold, "--model", bundle, "--train", gold)
    assert code == 0
    assert "without baselines:" in error
    assert "pip install 'yaodian[" in error


def test_the_tree_of_errors_is_complete() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    drawn = re.findall(r"^[│├└─ ]*(\w+)  ", errors.__doc__ or "", re.MULTILINE)
    assert sorted(drawn) == sorted(kind.__name__ for kind in kinds)
    assert all(issubclass(kind, YaodianError) for kind in kinds)


def test_a_missing_module_of_our_own_is_no_missing_extra() -> None:
    with pytest.raises(ModuleNotFoundError):
        training._missing(ModuleNotFoundError("x", name="train.none"))
