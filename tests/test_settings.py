from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from conftest import ROOT
from hydra import compose, initialize_config_dir
from transformers import PreTrainedTokenizerFast

from train import pretrain
from train.__main__ import settings_from
from train.errors import ConfigError
from train.learning import out_of_fold
from train.learning.settings import TrainSettings
from train.tagging.bundle import Bundle

CONFIGS = ROOT / "configs"
PRIMARY = {"train.yaml", "pretrain.yaml"}
FILES = sorted(path.relative_to(CONFIGS) for path in CONFIGS.rglob("*.yaml"))


def composed(*overrides: str) -> TrainSettings:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return settings_from(compose("train", list(overrides)))


@pytest.mark.parametrize("file", FILES, ids=str)
def test_every_config_file_composes_and_is_valid(file: Path) -> None:
    if file.name == "pretrain.yaml":
        with initialize_config_dir(str(CONFIGS), version_base="1.3"):
            settings = pretrain.settings_from(compose("pretrain", ["text.path=."]))
        assert settings.network.width == 256
    elif len(file.parts) == 1:
        assert file.name == "train.yaml"
        assert composed().encoder.name == "yaodian"
    else:
        group, name = file.parent.name, file.stem
        settings_of = composed(f"{group}={name}")
        assert group != "encoder" or settings_of.encoder.name == name


def test_no_config_file_is_forgotten() -> None:
    assert {str(file) for file in FILES if len(file.parts) == 1} == PRIMARY
    text = (CONFIGS / "train.yaml").read_text(encoding="utf-8")
    groups = {file.parent.name for file in FILES if len(file.parts) > 1}
    assert groups == {path.name for path in CONFIGS.iterdir() if path.is_dir()}
    assert all(f"  - {group}: " in text for group in groups)
    assert all(file.suffix == ".yaml" for file in CONFIGS.rglob("*") if file.is_file())
    assert text.index("_self_") < text.index("- encoder: ") < text.index("- experiment: null")


@pytest.mark.parametrize("file", [f for f in FILES if f.parent.name == "experiment"], ids=str)
def test_an_experiment_opens_with_the_command_that_runs_it(file: Path) -> None:
    package, command = (CONFIGS / file).read_text(encoding="utf-8").splitlines()[:2]
    assert package == "# @package _global_"
    assert command.startswith("# python -m train ")
    assert f"experiment={file.stem}" in command


def test_an_experiment_wins_over_the_groups_and_the_command_line_over_both() -> None:
    settings = composed("experiment=quick", "optim.epochs=5")
    assert (settings.encoder.name, settings.encoder.width, settings.optim.epochs) == ("untrained", 64, 5)


BAD = {
    "encoder": {"n_layers": 0, "width": 65, "n_heads": 2, "ffn_width": 0, "max_length": 8, "dropout": 1.0,
                "attention_dropout": 1.0, "head_dropout": -0.1},
    "data": {"path": "''", "held_out": 1.5, "validation": 1, "n_folds": 1, "leakage": "maybe", "heading_dropout": -0.1, "joining": 1.1, "rehearsal_items": 0,
             "max_path": 200, "overlap": 100},
    "optim": {"epochs": 0, "min_steps": -1, "batch_size": 0, "lr": 0, "head_lr": 2, "weight_decay": -1, "warmup": 1, "patience": 0, "max_grad_norm": -1},
    "run": {"dir": "''", "seed": -1, "precision": "fp8", "n_threads": 0, "report_to": "wandb"},
}  # fmt: skip
FREE = {
    "encoder.name",
    "encoder.path",
    "encoder.n_heads",
    "data.headings",
    "data.plan_key",
    "data.rehearsal",
    "run.sample",
    "run.progress",
    "labels",
    "init",
}


def test_all_settings_out_of_range_are_named_at_once() -> None:
    overrides = [f"{group}.{name}={value}" for group, values in BAD.items() for name, value in values.items()]
    with pytest.raises(ConfigError) as stop:
        composed(*overrides)
    message = str(stop.value)
    assert "\n" not in message
    for group, values in BAD.items():
        for name in values:
            given = "n_heads" if name == "n_heads" else f"{group}.{name} must be "
            assert given in message
    assert "data.held_out must be a share in [0, 1), a list of plan names or a .jsonl file, got 1.5" in message
    assert "run.report_to must be null or tensorboard, got 'wandb'" in message


@pytest.mark.parametrize(("name", "value"), [(f"{g}.{n}", v) for g, values in BAD.items() for n, v in values.items()])
def test_each_setting_out_of_range_is_named(name: str, value: Any) -> None:
    if name in FREE:
        return
    with pytest.raises(ConfigError, match=rf"(^|; ){name} must be .*, got "):
        composed(f"{name}={value}")


def test_no_setting_is_without_a_rule() -> None:
    def names(kind: Any, front: str = "") -> list[str]:
        found = []
        for field in fields(kind):
            value = {
                "encoder": "EncoderSettings",
                "data": "DataSettings",
                "optim": "OptimSettings",
                "run": "RunSettings",
            }.get(field.name)
            inner = getattr(__import__("train.learning.settings", fromlist=["x"]), value) if value else None
            found += names(inner, f"{field.name}.") if inner and is_dataclass(inner) else [front + field.name]
        return found

    ruled = {f"{group}.{name}" for group, values in BAD.items() for name in values}
    assert set(names(TrainSettings)) == ruled | FREE


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optim.epochs=many", r"training settings: optim\.epochs: Value 'many'"),
        ("data.held_out=true", "data.held_out must be a share"),
        ("data.held_out=[1,2]", "data.held_out must be a share"),
        ("data.held_out=rows.csv", "data.held_out must be a share"),
        (
            "data={validation: 0, n_folds: 0}",
            "data.validation must be above 0 where data.n_folds is 0 and no init gives thresholds",
        ),
        ("data.rehearsal=builtin", "data.n_folds must be 0 where data.rehearsal is given, got 2"),
        ("+optim.momentum=1", "momentum"),
        ("optim.lr=nan", "optim.lr must be between 0 and 1, got nan"),
        ("encoder.n_heads=0", "encoder.n_heads must be at least 1, got 0"),
    ],
)
def test_settings_of_the_wrong_kind_are_named_in_one_line(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as stop:
        composed(override)
    assert "\n" not in str(stop.value)


def test_plans_can_be_named_in_chinese_and_dropout_can_be_left_to_the_checkpoint() -> None:
    settings = composed('data.held_out=["甲县2024.docx"]', "encoder.dropout=null")
    assert settings.data.held_out == ["甲县2024.docx"]
    assert type(settings.data.held_out) is list
    assert settings.encoder.dropout is None


def test_all_plans_can_be_learned_from_where_thresholds_come_from_folds_or_another_bundle() -> None:
    assert composed("data={validation: 0, n_folds: 2}").data.validation == 0
    assert composed("data={validation: 0, n_folds: 0}", "init=models/starter").data.n_folds == 0


def test_a_small_corpus_is_read_until_enough_steps_are_done_and_is_not_given_up_before() -> None:
    optim = composed("optim={epochs: 5, min_steps: 600, batch_size: 32, patience: 2}").optim
    # 320 items are 10 steps: 60 epochs make 600, and twelve times the epochs want twelve times the patience.
    # 9,600 items are 300 steps: five epochs make 1,500.
    found = [(sized.epochs, sized.patience) for sized in map(optim.for_items, (320, 321, 9600))]
    assert found == [(60, 24), (55, 22), (5, 2)]
    assert composed("optim={epochs: 5, min_steps: 0}").optim.for_items(32).epochs == 5


@pytest.mark.parametrize(("stopped", "lasts"), [(None, (10, None)), (3, (5, 3))])
def test_a_fold_lasts_as_long_as_a_training_part_of_its_size_or_as_early_stopping_found(
    stopped: int | None,
    lasts: tuple[int, int | None],
    rows: Any,
    bundle: Any,
    taxonomy: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(bundle / "tokenizer.json"), pad_token="[PAD]")
    # 120 rows: a fold of two learns from 60, two batches an epoch, so that 20 steps are ten epochs.
    settings = composed("optim={epochs: 5, min_steps: 20, batch_size: 32}", "data.n_folds=2")
    found = []

    def note(
        model: Any, others: Any, validation: Any, settings: TrainSettings, shape: Any, folder: Path, epochs: int | None
    ) -> Any:
        found.append((len(others), settings.optim.epochs, epochs))
        return Mock()

    monkeypatch.setattr(out_of_fold, "fit", note)
    monkeypatch.setattr(out_of_fold, "score", lambda model, items, shape: np.zeros((len(items), 3)))
    out_of_fold.out_of_fold_scores(
        rows, Mock(), tokenizer, taxonomy, settings, Bundle.open(bundle).shape, stopped, tmp_path
    )
    assert found == [(60, *lasts), (60, *lasts)]
