"""What retraining refuses or says, where it could go on with a wrong network, a wrong measure, or somebody's files."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_settings import composed
from test_training import TINY, environment, figures, inputs, refused, train, trained

from train.corpus.dataset import build_corpus
from train.errors import ConfigError, EncoderError, OutputError
from train.learning.encoder import find_encoder, load_model
from train.learning.material import annotated_rows, rows_to_rehearse
from train.learning.record import begin, is_finished, recorded, reported, require_same
from train.learning.settings import EncoderSettings
from train.rows import content_id, write_rows
from train.tagging.bundle import learned_items, seal
from train.taxonomy import Taxonomy

__all__ = ["inputs", "trained"]  # fixtures

SHAPE = EncoderSettings("tiny", None, 48, 2, 16, 2, 16, None, None, None)
RECORD = "run: {dir: a, seed: 7}\ndigests: {rows: r, taxonomy: t, encoder: e}\n"


# ── What a bundle has learned ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow(reason="trains a network")
def test_a_bundle_names_what_it_and_the_one_before_it_learned(
    trained: Path, inputs: list[str], rows: Any, tmp_path: Path
) -> None:
    held_out = json.loads((trained / "split.json").read_text(encoding="utf-8"))["test"]
    learned = {content_id(row) for row in rows if row["plan"] not in held_out}
    assert learned_items(trained) == learned
    own = [r | {"plan": "own", "text": "本地" + r["text"]} for r in rows[:8]]
    write_rows(tmp_path / "own.jsonl", own)
    write_rows(tmp_path / "known.jsonl", rows)
    quick = [inputs[0], *TINY, "optim.epochs=1", "data={held_out: 0.0, validation: 0.0, n_folds: 0}"]
    train(tmp_path, *quick, f"init={trained}", "data.path=own.jsonl", "data.rehearsal=known.jsonl", "run.dir=runs/own")
    assert learned_items(tmp_path / "runs" / "own") == learned | {content_id(row) for row in own}
    # So nothing of it counts as held out from then on, although its own scores are none out of fold.
    again = [*quick, "init=runs/own", "run.dir=runs/again"]
    said = refused(tmp_path, *again, "data.path=known.jsonl", "data.held_out=own.jsonl")
    assert "init=runs/own: was trained on 8 of the 8 held-out items; hold out others, or none" in said
    n_known = sum(content_id(row) in learned for row in rows)
    for scored in ("data.n_folds=2", "data.validation=0.5"):
        said = refused(
            tmp_path,
            *again,
            "data.path=known.jsonl",
            f"data.held_out={json.dumps(held_out, ensure_ascii=False)}",
            scored,
        )
        assert f" of the {n_known if 'folds' in scored else ''}" in said
        assert (
            "items that thresholds would be fitted on, and scores what it has learned too well; keep its thresholds"
            in said
        )


def test_older_bundles_name_the_items_of_their_out_of_fold_scores(tmp_path: Path) -> None:
    assert learned_items(tmp_path) == set()
    (tmp_path / "out_of_fold.jsonl").write_text('{"item": "aa", "plan": "p"}\n{"item": "bb"}\n')
    assert learned_items(tmp_path) == {"aa", "bb"}
    (tmp_path / "out_of_fold.jsonl").write_text("{damaged")
    assert learned_items(tmp_path) == set()
    (tmp_path / "learned.ids").write_text("cc\ndd\n")
    assert learned_items(tmp_path) == {"cc", "dd"}


# ── Rows in two places ────────────────────────────────────────────────────────────────────────────────────────────────


def test_held_out_rows_may_not_be_among_those_to_learn_from(taxonomy_file: Path, rows: Any, tmp_path: Path) -> None:  # fmt: skip
    write_rows(tmp_path / "a.jsonl", rows[10:])
    write_rows(tmp_path / "test.jsonl", rows[:10])
    settings = composed(f"labels={taxonomy_file}", f"data.path={tmp_path}", f"data.held_out={tmp_path / 'test.jsonl'}")
    with pytest.raises(ConfigError, match=r"10 of its 10 rows are in data\.path=.* too; take them out of there"):
        annotated_rows(settings)
    settings = composed(f"labels={taxonomy_file}", f"data.path={tmp_path / 'a.jsonl'}", f"data.held_out={tmp_path / 'test.jsonl'}")  # fmt: skip
    _, given, held_out = annotated_rows(settings)
    assert len(given) == len(rows)
    assert held_out == ["test.jsonl/" + name for name in dict.fromkeys(r["plan"] for r in rows[:10])]


@pytest.mark.parametrize("key", ["plan", "null", "document"])
def test_plans_that_the_bundle_was_measured_on_are_rehearsed_under_no_key(key: str) -> None:
    settings = composed("experiment=adapt", "data.path=own.jsonl", f"data.plan_key={key}")
    plans = {row["plan"] for row in rows_to_rehearse(settings, Taxonomy.load())}
    measured = json.loads(Path(str(find_encoder(settings.encoder, settings.init)), "split.json").read_text())["test"]
    assert len(plans) == 187 - len(measured)
    assert not plans & set(measured)


def test_plans_of_a_file_that_the_bundle_was_measured_on_are_not_rehearsed(taxonomy: Taxonomy, taxonomy_file: Path, rows: Any, tmp_path: Path) -> None:  # fmt: skip
    names = list(dict.fromkeys(row["plan"] for row in rows))
    write_rows(tmp_path / "known.jsonl", rows)
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "split.json").write_text(json.dumps({"test": [f"test.jsonl/{names[0]}"]}))
    settings = composed(f"labels={taxonomy_file}", f"data.rehearsal={tmp_path / 'known.jsonl'}", f"init={tmp_path / 'bundle'}", "data.n_folds=0")  # fmt: skip
    assert {row["plan"] for row in rows_to_rehearse(settings, taxonomy)} == set(names[1:])


def test_a_handful_of_items_is_rehearsed_with_every_theme(taxonomy: Taxonomy) -> None:
    own = [{"plan": "own", "number": "1", "path": [], "text": "修好道路", "labels": ["roads"]}]
    many = [
        {"plan": "k", "number": str(n), "path": [], "text": f"治理河湖{n}", "labels": ["water"]} for n in range(500)
    ]
    rare = {"plan": "k", "number": "x", "path": [], "text": "新建学校", "labels": ["schools"]}
    for seed in range(20):
        corpus = build_corpus(own, taxonomy, held_out=0.0, validation=0.0, leakage="drop", seed=seed,
                              rehearsal=[*many, rare], n_rehearsal=2000)  # fmt: skip
        assert {label for row in corpus.rehearsal for label in row["labels"]} >= {"water", "schools"}
        assert len(corpus.rehearsal) in (10, 11)


# ── An encoder that is not what it says ───────────────────────────────────────────────────────────────────────────────


def test_a_shipped_encoder_that_is_missing_is_not_taken_for_random_weights(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("train.learning.encoder.resource", lambda name: tmp_path / name)
    with pytest.raises(
        EncoderError, match=r"encoder tiny: .*encoder is not there; install again, or give encoder\.path"
    ):
        find_encoder(replace(SHAPE, path="builtin"), None)


@pytest.mark.parametrize("fault", ["a layer is missing", "fewer tokens", "the head is missing"])
def test_a_checkpoint_that_lacks_weights_is_refused(taxonomy: Taxonomy, tmp_path: Path, fault: str) -> None:
    from safetensors.torch import load_file, save_file
    from transformers import BertConfig, BertForSequenceClassification

    shape = {"num_hidden_layers": 2, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16}
    BertForSequenceClassification(BertConfig(vocab_size=9, **shape)).save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    if fault == "fewer tokens":
        weights["bert.embeddings.word_embeddings.weight"] = weights["bert.embeddings.word_embeddings.weight"][
            :5
        ].clone()
    else:
        gone = "layer.1." if fault == "a layer is missing" else ("classifier", "pooler")
        weights = {k: v for k, v in weights.items() if not any(part in k for part in ([gone] if isinstance(gone, str) else gone))}  # fmt: skip
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    if fault == "the head is missing":
        assert load_model(str(tmp_path), SHAPE, taxonomy, 9).classifier.out_features == 3
        return
    with pytest.raises(
        EncoderError, match=r"its weights do not fit its config\.json \(bert\..*; copy the checkpoint again"
    ):
        load_model(str(tmp_path), SHAPE, taxonomy, 9)


# ── The folder of a run ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_folder_with_files_of_somebody_is_not_taken_for_a_run(tmp_path: Path) -> None:
    (tmp_path / "train.log").write_text("what a shell writes there")
    (tmp_path / "config.yaml.part").write_text("what a run leaves that is killed as it begins")
    begin(RECORD, tmp_path)
    assert (tmp_path / "config.yaml").read_text() == RECORD
    (tmp_path / "config.yaml").unlink()
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(ConfigError, match=r"holds README\.md and no run; choose an empty folder"):
        begin(RECORD, tmp_path)
    assert (tmp_path / "README.md").read_text() == "mine"


def test_a_run_is_not_taken_up_with_another_encoder(tmp_path: Path) -> None:
    begin(RECORD, tmp_path)
    begin(RECORD.replace("dir: a", "dir: b"), tmp_path)  # how the folder is spelt changes nothing
    for other in (RECORD.replace("encoder: e", "encoder: f"), RECORD.replace("seed: 7", "seed: 8")):
        with pytest.raises(ConfigError, match="other settings, other rows or another encoder"):
            begin(other, tmp_path)
    (tmp_path / "config.yaml").write_text(RECORD.replace(", encoder: e", ""))  # as runs of before recorded it
    require_same(RECORD, tmp_path)


def test_digests_that_a_full_disk_left_empty_do_not_finish_a_run(tmp_path: Path) -> None:
    assert not is_finished(tmp_path)
    (tmp_path / "digests.json").touch()
    assert not is_finished(tmp_path)
    (tmp_path / "a").touch()
    seal(tmp_path, ["a"])
    assert is_finished(tmp_path)


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    said = r"cannot be written \(No space left on device\); choose another run\.dir"
    with pytest.raises(OutputError, match=said), reported(tmp_path):
        raise OSError(28, "No space left on device")
    said = r"cannot be written \(\[enforce fail\] unexpected pos 64 vs 0\); make room, then the same command goes on"
    with pytest.raises(OutputError, match=said), reported(tmp_path):  # as torch says it
        raise RuntimeError("[enforce fail] unexpected pos 64 vs 0")
    with pytest.raises(RuntimeError, match="a fault of ours"), reported(tmp_path):
        raise RuntimeError("a fault of ours")


def test_an_encoder_that_cannot_be_read_is_named(
    taxonomy: Taxonomy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def denied(path: Path) -> str:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "model.safetensors").touch()
    monkeypatch.setattr("train.tagging.bundle.file_digest", denied)
    with pytest.raises(ConfigError, match=r"cannot be read \(Permission denied\)"):
        recorded(composed(), taxonomy, [], str(tmp_path))


@pytest.mark.slow(reason="trains a network")
def test_logs_in_the_folder_are_no_part_of_the_bundle_and_curves_need_no_validation(
    inputs: list[str], tmp_path: Path
) -> None:
    run = tmp_path / "runs" / "logged"
    run.mkdir(parents=True)
    (run / "nohup.out").write_text("begun")
    quick = ["optim.epochs=1", "data={n_folds: 2, validation: 0.0}", "run.report_to=tensorboard", "run.dir=runs/logged"]
    train(tmp_path, *inputs, *TINY, *quick)
    assert "nohup.out" not in json.loads((run / "digests.json").read_text())
    assert len(list((run / "tensorboard").glob("events.out.tfevents.*"))) == 1
    assert yaml.safe_load((run / "config.yaml").read_text())["digests"].keys() == {"rows", "taxonomy"}  # random weights


@pytest.mark.slow(reason="trains a network")
def test_a_full_disk_ends_a_run_with_one_line_and_it_goes_on_later(inputs: list[str], tmp_path: Path) -> None:
    line = [sys.executable, "-m", "train", *inputs, *TINY, "data.validation=0.0", "optim.epochs=2", "run.dir=runs/full"]

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    done = subprocess.run(line, cwd=tmp_path, env=environment(), capture_output=True, text=True, preexec_fn=small_files)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("runs/full: cannot be written (")
    assert done.stderr.count("Traceback") == 0
    train(tmp_path, *line[3:])
    assert figures(tmp_path / "runs" / "full")["test"]["n_plans"] == 2
