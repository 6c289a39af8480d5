"""Retraining as a user starts it: `python -m train` in a process of its own, from another folder, without a network."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from conftest import POOLS, ROOT

from train.errors import EncoderError
from train.learning.encoder import load_model, load_tokenizer
from train.learning.settings import EncoderSettings
from train.resources import resource
from train.rows import plan_names, read_rows, write_rows
from train.tagging import Tagger
from train.tagging.bundle import measured_plans
from train.tagging.windows import cut, highest, stack
from train.taxonomy import Taxonomy

TINY = [
    "encoder=untrained",
    "encoder={n_layers: 1, width: 32, n_heads: 2, ffn_width: 64, max_length: 48}",
    "data={max_path: 8, overlap: 8, n_folds: 2, held_out: 0.2, validation: 0.15}",
    "optim={epochs: 10, min_steps: 0, batch_size: 8, lr: 0.01, head_lr: 0.01, patience: 1}",
    "run.n_threads=1",
]
NOWHERE = "http://127.0.0.1:9"  # a port that nothing listens on: whoever asks a hub fails


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_ENDPOINT": NOWHERE}


def start(folder: Path, *overrides: str, launcher: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    """`python -m train` in a folder."""
    line = [sys.executable, *launcher, "-m", "train", *overrides]
    return subprocess.Popen(
        line, cwd=folder, env=environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def train(folder: Path, *overrides: str, launcher: tuple[str, ...] = ()) -> str:
    """Runs to the end and gives what was printed on stdout; nothing but the run's folder may appear."""
    before = set(folder.iterdir())
    process = start(folder, *overrides, launcher=launcher)
    out, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    assert {path.name for path in set(folder.iterdir()) - before} <= {"models", "runs"}
    return out


def refused(folder: Path, *overrides: str) -> str:
    """The one line that a run which does not start prints."""
    before = sorted(folder.rglob("*"))
    process = start(folder, *overrides)
    out, error = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "")
    assert error.count("\n") == 1, error
    assert sorted(folder.rglob("*")) == before
    return error


def figures(folder: Path) -> dict[str, Any]:
    metrics: dict[str, Any] = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    return metrics


@pytest.fixture(scope="module")
def inputs(gold: Path, taxonomy_file: Path) -> list[str]:
    return [f"labels={taxonomy_file}", f"data.path={gold}"]


@pytest.fixture(scope="module")
def trained(inputs: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on the made-up taxonomy."""
    folder = tmp_path_factory.mktemp("trained")
    plan = folder / "样例.txt"
    plan.write_text("甲县2025年工作要点\n\n一、建设\n1.修好道路和桥梁,年内全部完工通车。\n2.治理河湖,年内全部达标。\n")
    out = train(folder, *inputs, *TINY, "run.dir=runs/one", f'run.sample="{plan}"')
    assert "F1 on held-out plans (2 plans, 24 items)" in out
    assert "样例.txt: the first 2 of 2 items" in out
    return folder / "runs" / "one"


# ── What a run writes ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow(reason="trains a network")
def test_another_taxonomy_is_a_file_and_an_override(trained: Path) -> None:
    assert Taxonomy.load(trained / "taxonomy.yaml").keys == list(POOLS)
    assert list(json.loads((trained / "thresholds.json").read_text())) == list(POOLS)
    assert set(figures(trained)["test"]["per_label"]) == set(POOLS)
    assert sorted(path.name for path in trained.iterdir()) == [
        "README.md", "config.json", "config.yaml", "curves.png", "digests.json", "learned.ids", "metrics.json", "model.onnx", "model.safetensors",
        "out_of_fold.jsonl", "split.json", "taxonomy.yaml", "thresholds.json", "tokenizer.json", "tokenizer_config.json", "windows.json",
    ]  # fmt: skip


@pytest.mark.slow(reason="trains a network")
def test_the_card_and_the_settings_tell_where_the_figures_come_from(trained: Path) -> None:
    metrics, card = figures(trained), (trained / "README.md").read_text(encoding="utf-8")
    assert metrics["data_digest"] in card
    assert f"Macro-F1 {metrics['test']['macro_f1']:.3f}" in card
    assert metrics["thresholds_from"] == "out-of-fold scores of 2 folds"
    settings = yaml.safe_load((trained / "config.yaml").read_text(encoding="utf-8"))
    assert (settings["encoder"]["width"], settings["optim"]["epochs"]) == (32, 10)
    assert settings["digests"]["rows"] == metrics["data_digest"]
    split = json.loads((trained / "split.json").read_text(encoding="utf-8"))
    assert sorted(len(plans) for plans in split.values()) == [2, 2, 6]


def windows_of(folder: Path, rows: list[dict[str, Any]]) -> Any:
    from transformers import AutoTokenizer

    shape, tokenizer = Tagger.load(folder).bundle.shape, AutoTokenizer.from_pretrained(folder)
    ids = [[tokenizer.encode(t, add_special_tokens=False) for t in (r["text"], "/".join(r["path"]))] for r in rows]
    return stack([cut(text, path, shape) for text, path in ids], shape)


def long_and_short(gold: Path) -> list[dict[str, Any]]:
    rows = read_rows(gold)[:9]
    return [*rows, rows[0] | {"text": "".join(r["text"] for r in rows)}]


@pytest.mark.slow(reason="trains a network")
def test_a_bundle_opens_in_plain_transformers_and_plain_onnxruntime(trained: Path, gold: Path) -> None:
    import onnxruntime
    import torch
    from transformers import AutoModelForSequenceClassification

    rows = long_and_short(gold)
    windows = windows_of(trained, rows)
    assert len(windows.item) > len(rows) + 5  # the long item is in many windows
    model = AutoModelForSequenceClassification.from_pretrained(trained, dtype=torch.float32).eval()
    assert model.config.id2label == dict(enumerate(POOLS))
    session = onnxruntime.InferenceSession(trained / "model.onnx")
    arrays = {n: getattr(windows, n) for n in ("input_ids", "attention_mask", "token_type_ids")}
    for chosen in (slice(None), slice(0, 1), slice(-1, None)):
        batch = {name: array[chosen] for name, array in arrays.items()}
        with torch.inference_mode():
            expected = model(**{name: torch.from_numpy(array) for name, array in batch.items()}).logits.numpy()
        np.testing.assert_allclose(session.run(["logits"], batch)[0], expected, atol=1e-4)


@pytest.mark.slow(reason="trains a network")
def test_the_network_names_no_file_of_the_machine_that_wrote_it(trained: Path) -> None:
    for folder in (trained, resource("models") / "starter"):
        content = (folder / "model.onnx").read_bytes()
        assert b"states" in content
        assert b".py" not in content
        assert b'File "' not in content


@pytest.mark.slow(reason="trains a network")
def test_plain_transformers_reads_text_and_headings_given_as_a_pair(trained: Path, gold: Path) -> None:
    from transformers import AutoTokenizer

    rows = [r for r in read_rows(gold) if len(r["text"]) < 36]  # those of one window
    pairs = AutoTokenizer.from_pretrained(trained)(
        [r["text"] for r in rows], ["/".join(r["path"]) for r in rows], padding=True, return_tensors="np"
    )
    windows = windows_of(trained, rows)
    for name in ("input_ids", "attention_mask", "token_type_ids"):
        np.testing.assert_array_equal(pairs[name], getattr(windows, name))
    assert windows.token_type_ids.any()


@pytest.mark.slow(reason="trains a network")
def test_the_tagger_scores_as_training_does(trained: Path, gold: Path) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification

    rows, keys = long_and_short(gold), list(POOLS)
    windows = windows_of(trained, rows)
    model = AutoModelForSequenceClassification.from_pretrained(trained, dtype=torch.float32).eval()
    with torch.inference_mode():
        logits = model(
            **{n: torch.from_numpy(getattr(windows, n)) for n in ("input_ids", "attention_mask", "token_type_ids")}
        ).logits.numpy()
    expected = 1 / (1 + np.exp(-highest(logits, windows.item, len(rows))))
    tagger = Tagger.load(trained)
    together = [[row["scores"][k] for k in keys] for row in tagger.tag_rows(rows)]
    alone = [[row["scores"][k] for k in keys] for r in rows for row in tagger.tag_rows([r])]
    np.testing.assert_allclose(together, expected, atol=0.02)
    np.testing.assert_allclose(alone, expected, atol=0.02)


# ── Started again ─────────────────────────────────────────────────────────────────────────────────────────────────────


def kill_when(process: subprocess.Popen[str], folder: Path, pattern: str) -> None:
    deadline = time.monotonic() + 60
    while not list(folder.glob(pattern)):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (folder / "digests.json").exists()


@pytest.mark.slow(reason="kills a run twice and starts it again")
def test_a_killed_run_started_again_ends_as_one_that_was_not(trained: Path, inputs: list[str], tmp_path: Path) -> None:
    sample = yaml.safe_load((trained / "config.yaml").read_text(encoding="utf-8"))["run"]["sample"]
    overrides = (*inputs, *TINY, "run.dir=runs/one", f'run.sample="{sample}"')
    run = tmp_path / "runs" / "one"
    assert 2 < figures(trained)["history"][-1]["epoch"] < 10  # early stopping ended it
    kill_when(start(tmp_path, *overrides), run, "checkpoints/main/checkpoint-*/trainer_state.json")
    kill_when(start(tmp_path, *overrides), run, "checkpoints/fold1/checkpoint-*/trainer_state.json")
    train(tmp_path, *overrides)
    assert figures(run) == figures(trained)
    for name in ("model.safetensors", "model.onnx", "thresholds.json", "split.json", "config.yaml"):
        assert (run / name).read_bytes() == (trained / name).read_bytes(), name


@pytest.mark.slow(reason="starts processes")
def test_a_finished_run_is_not_trained_twice_and_takes_no_other_settings(
    trained: Path, inputs: list[str], tmp_path: Path
) -> None:
    folder = trained.parent.parent
    sample = f'run.sample="{folder / "样例.txt"}"'
    before = {path: path.stat().st_mtime_ns for path in trained.iterdir()}
    out = train(folder, *inputs, *TINY, "run.dir=./runs/one/", "run.progress=false", sample)
    assert f"macro_f1 {figures(trained)['test']['macro_f1']:.3f}" in out
    assert {path: path.stat().st_mtime_ns for path in trained.iterdir()} == before
    message = "runs/one: holds a run with other settings, other rows or another encoder (see its config.yaml); choose another run.dir or"
    assert message in refused(folder, *inputs, *TINY, "run.dir=runs/one", sample, "run.seed=8")
    fewer = tmp_path / "fewer.jsonl"
    fewer.write_text("".join(Path(inputs[1].split("=")[1]).read_text(encoding="utf-8").splitlines(True)[:-1]))
    assert message in refused(folder, inputs[0], f"data.path={fewer}", *TINY, "run.dir=runs/one", sample)


@pytest.mark.slow(reason="trains a network")
def test_stopping_by_hand_names_the_folder_to_go_on_in(inputs: list[str], tmp_path: Path) -> None:
    # Where a shell runs the tests in the background, they ignore Ctrl-C, and what they start inherits that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = start(tmp_path, *inputs, *TINY, "optim.epochs=500", "optim.patience=500")
    signal.signal(signal.SIGINT, before)
    deadline = time.monotonic() + 60
    while not (found := list(tmp_path.glob("models/runs/*/checkpoints/main/checkpoint-*"))):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    run = found[0].parents[2].relative_to(tmp_path)
    said = f"stopped; the same command with run.dir={run} goes on from the last epoch"
    assert (process.returncode, error.splitlines()[-1]) == (130, said)


def test_the_last_whole_checkpoint_is_found_behind_one_that_was_cut_short(tmp_path: Path) -> None:
    from train.learning.checkpoints import last_whole

    assert last_whole(tmp_path / "none") is None
    for step, state in ((8, '{"global_step": 8}'), (16, '{"global_step": 16}'), (112, '{"global_'), (120, None)):
        (tmp_path / f"checkpoint-{step}").mkdir()
        if state:
            (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text(state)
    found = last_whole(tmp_path)
    assert found is not None
    assert (found[0].name, found[1].global_step) == ("checkpoint-16", 16)


def test_a_fit_is_over_after_its_epochs_or_when_early_stopping_waited_long_enough() -> None:
    from transformers import TrainerState

    from train.learning.checkpoints import is_over

    waited = {"EarlyStoppingCallback": {"attributes": {"early_stopping_patience_counter": 2}}}
    state = TrainerState(epoch=3.0)
    state.stateful_callbacks = waited
    assert [is_over(state, 3, None), is_over(state, 4, None)] == [True, False]
    assert [is_over(state, 4, 2), is_over(state, 4, 3)] == [True, False]


# ── Other ways to start ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow(reason="trains two networks")
def test_a_sweep_gives_a_bundle_for_each_value(inputs: list[str], tmp_path: Path) -> None:
    quick = ["data.n_folds=0", "data.held_out=0.0", "optim.epochs=1", "run.dir=runs/sweep"]
    train(tmp_path, "--multirun", *inputs, *TINY, *quick, "optim.lr=1e-3,3e-3")
    runs = [tmp_path / "runs" / "sweep" / name for name in "01"]
    rates = [yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))["optim"]["lr"] for run in runs]
    assert rates == [1e-3, 3e-3]
    for run in runs:
        assert Tagger.load(run).bundle.taxonomy.keys == list(POOLS)
        assert figures(run)["thresholds_from"] == "validation scores"
        card = (run / "README.md").read_text(encoding="utf-8")
        assert "validation plans, which the training has looked at: 2 (" in card
        assert "calibration error on them" in card


@pytest.mark.slow(reason="trains a network")
def test_a_value_that_is_refused_does_not_end_a_sweep(inputs: list[str], tmp_path: Path) -> None:
    quick = ["data.n_folds=0", "data.held_out=0.0", "optim.epochs=1", "run.dir=runs/sweep"]
    process = start(tmp_path, "--multirun", *inputs, *TINY, *quick, "optim.lr=-1,1e-3")
    _, error = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "run 0 of the sweep: optim.lr must be between 0 and 1, got -1.0\n" in error
    assert error.endswith("1 of the runs of this sweep failed, see above; those that ended keep their folders\n")
    assert list(tmp_path.glob("runs/sweep/*/digests.json")) == [tmp_path / "runs" / "sweep" / "1" / "digests.json"]


@pytest.mark.slow(reason="trains a network")
def test_a_bundle_is_adapted_to_one_plan_and_measured_on_a_file(
    trained: Path, inputs: list[str], rows: Any, tmp_path: Path
) -> None:
    names = plan_names(rows)
    write_rows(tmp_path / "own.jsonl", [r for r in rows if r["plan"] == names[0]])
    others = [r for r in rows if r["plan"] != names[0]]
    write_rows(tmp_path / "known.jsonl", others)
    write_rows(tmp_path / "others.jsonl", [r | {"text": "本地" + r["text"]} for r in others])
    adapt = [
        inputs[0],
        *TINY,
        f"init={trained}",
        "data={path: own.jsonl, validation: 0, n_folds: 0, leakage: report}",
        "optim.epochs=1",
    ]
    out = train(tmp_path, *adapt, "data.held_out=0.0", "run.dir=runs/blind")
    assert "no plan was held out: this run has no F1 of its own" in out
    assert "No plan was held out" in (tmp_path / "runs" / "blind" / "README.md").read_text(encoding="utf-8")
    said = refused(tmp_path, *adapt, "data.held_out=known.jsonl", "run.dir=runs/known")
    n_trained = sum(r["plan"] not in json.loads((trained / "split.json").read_text())["test"] for r in others)
    assert f"init={trained}: was trained on {n_trained} of the {len(others)} held-out items; hold out others" in said
    train(tmp_path, *adapt, "data.held_out=others.jsonl", "run.dir=runs/measured")
    measured = figures(tmp_path / "runs" / "measured")
    assert measured["test"]["n_plans"] == len(names) - 1
    assert measured["thresholds_from"].startswith("the bundle it went on from")
    card = (tmp_path / "runs" / "measured" / "README.md").read_text(encoding="utf-8")
    assert "whole plans held out: 9 (" in card
    assert f"(as in the bundle it went on from ({trained}))" in card
    cuts = [json.loads((run / "thresholds.json").read_text()) for run in (trained, tmp_path / "runs" / "measured")]
    assert cuts[0] == cuts[1]


@pytest.mark.slow(reason="trains a network")
def test_adapting_rehearses_rows_but_none_that_the_bundle_was_measured_on(
    trained: Path, inputs: list[str], rows: Any, tmp_path: Path
) -> None:
    write_rows(tmp_path / "own.jsonl", [r | {"plan": "own", "text": "本地" + r["text"]} for r in rows[:8]])
    write_rows(tmp_path / "known.jsonl", rows)
    measured = json.loads((trained / "split.json").read_text(encoding="utf-8"))["test"]
    assert measured
    shared = [
        inputs[0],
        *TINY,
        f"init={trained}",
        "experiment=adapt",
        "data={n_folds: 0, validation: 0.0, path: own.jsonl}",
        "optim.epochs=1",
    ]
    train(tmp_path, *shared, "data.rehearsal=known.jsonl", "run.dir=runs/own")
    n_known = sum(r["plan"] not in measured for r in rows)
    card = (tmp_path / "runs" / "own" / "README.md").read_text(encoding="utf-8")
    assert "- training: 1 plans, 8 items" in card
    assert f"- rehearsal: {min(80, n_known)} items drawn from `known.jsonl`" in card
    assert measured_plans(tmp_path / "runs" / "own") == set(measured)  # nor may a run that goes on from this one
    said = refused(tmp_path, *shared, "data.rehearsal=builtin", "run.dir=runs/other")
    assert "data.rehearsal=builtin has the six themes of labels/taxonomy.yaml; for others give rows of theirs" in said


def test_a_head_is_kept_where_the_themes_are_the_same_in_the_same_order(taxonomy: Taxonomy, tmp_path: Path) -> None:
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    shape = {"num_hidden_layers": 1, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16}
    labels = {"num_labels": len(taxonomy), "id2label": dict(enumerate(taxonomy.keys))}
    there = BertForSequenceClassification(BertConfig(vocab_size=9, **shape, **labels))
    there.save_pretrained(tmp_path)
    settings = EncoderSettings("x", str(tmp_path), 48, 1, 16, 2, 16, None, None, None)
    for themes, same in ((taxonomy.themes, True), (taxonomy.themes[::-1], False)):
        loaded = load_model(str(tmp_path), settings, replace(taxonomy, themes=themes), 9)
        assert torch.equal(loaded.classifier.weight, there.classifier.weight) is same
        assert torch.equal(loaded.bert.pooler.dense.weight, there.bert.pooler.dense.weight)


def test_validation_plans_without_a_label_give_numbers() -> None:
    from transformers import EvalPrediction

    from train.learning.fit import _validation_metrics

    found = _validation_metrics(EvalPrediction(np.full((3, 2), -2.0), np.zeros((3, 2))), ["roads", "water"])
    assert (found["macro_f1"], found["micro_f1"]) == (0.0, 0.0)


def test_a_folder_without_a_vocabulary_is_no_encoder(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(EncoderError, match=r"no tokenizer there; expected tokenizer\.json or vocab\.txt"):
        load_tokenizer(str(tmp_path), [])


@pytest.mark.slow(reason="trains a network")
def test_themes_that_the_bundle_does_not_have_are_said_before_the_training(
    trained: Path, inputs: list[str], taxonomy: Taxonomy, tmp_path: Path
) -> None:
    fewer = tmp_path / "fewer.yaml"
    fewer.write_text(replace(taxonomy, themes=taxonomy.themes[:2]).dump(), encoding="utf-8")
    write_rows(tmp_path / "own.jsonl", [{"plan": "p", "text": "修路", "labels": ["roads"]}, {"plan": "p", "text": "治河", "labels": ["water"]}])  # fmt: skip
    said = refused(tmp_path, *TINY, f"labels={fewer}", f"init={trained}",
                   "data={path: own.jsonl, held_out: 0.0, validation: 0.0, n_folds: 0}", "run.dir=runs/x")  # fmt: skip
    assert "has other themes, so its thresholds don't fit; set data.validation or data.n_folds" in said
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow(reason="starts two processes that talk to each other")
def test_two_processes_measure_what_one_does(inputs: list[str], tmp_path: Path) -> None:
    same = [
        *inputs,
        *TINY,
        "encoder={dropout: 0, attention_dropout: 0, head_dropout: 0}",
        "data.heading_dropout=0",
        "run.precision=fp32",
    ]
    train(tmp_path, *same, "run.dir=runs/one")
    train(tmp_path, *same, launcher=("-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"))
    (two,) = (tmp_path / "models" / "runs").iterdir()
    one = tmp_path / "runs" / "one"
    assert sorted(p.name for p in two.iterdir()) == sorted(p.name for p in one.iterdir())
    assert figures(two)["test"] == figures(one)["test"]
    losses = [[h["eval_loss"] for h in figures(run)["history"] if "eval_loss" in h] for run in (one, two)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)
    cuts = [list(json.loads((run / "thresholds.json").read_text()).values()) for run in (one, two)]
    assert cuts[0] == pytest.approx(cuts[1], abs=1e-3)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT in the form in which Chinese encoders come: weights of masked language modelling and a vocab.txt."""
    from transformers import BertConfig, BertForMaskedLM

    folder = tmp_path_factory.mktemp("encoder")
    characters = sorted(
        {c for pool in POOLS.values() for c in pool} | set("推进建设落实加强一二三、基础施民生保障综合事项。/")
    )
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters]
    config = BertConfig(vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
                        intermediate_size=64, max_position_embeddings=64)  # fmt: skip
    BertForMaskedLM(config).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer", "do_lower_case": true}')
    return folder


@pytest.mark.slow(reason="trains a network")
def test_any_local_checkpoint_is_fine_tuned_and_tensorboard_gets_its_curves(
    checkpoint: Path, inputs: list[str], tmp_path: Path
) -> None:
    shape = ["encoder.max_length=48", *TINY[2:]]
    train(tmp_path, *inputs, "encoder=macbert_base", f"encoder.path={checkpoint}", *shape, "run.dir=runs/b",
          "run.report_to=tensorboard")  # fmt: skip
    run = tmp_path / "runs" / "b"
    config = json.loads((run / "config.json").read_text())
    assert (config["hidden_size"], config["architectures"]) == (32, ["BertForSequenceClassification"])
    events = list((run / "tensorboard").glob("events.out.tfevents.*"))
    assert len(events) == 1
    assert b"eval/macro_f1" in events[0].read_bytes()
    scores = Tagger.load(run).tag(["推进道路建设", "加强河湖落实"])[0]["scores"]
    assert list(scores) == list(POOLS)


@pytest.mark.slow(reason="starts processes that import torch")
def test_encoders_that_cannot_be_used_are_refused_in_one_line(
    checkpoint: Path, inputs: list[str], tmp_path: Path
) -> None:
    wants_code = shutil.copytree(checkpoint, tmp_path / "code")
    config = json.loads((wants_code / "config.json").read_text())
    (wants_code / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "evil.Model"}}))
    (tmp_path / "run").mkdir()
    short = ["encoder=macbert_base", *inputs, *TINY[2:]]
    message = refused(tmp_path / "run", *short, f"encoder.path={wants_code}", "encoder.max_length=48")
    assert "it asks to run code of its own (auto_map), which is never done" in message
    message = refused(tmp_path / "run", *short, f"encoder.path={checkpoint}", "encoder.max_length=128")
    assert "takes 64 tokens; set encoder.max_length=64 or less" in message
