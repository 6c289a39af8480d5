"""One retraining run, from rows to a bundle."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml
from numpy.typing import NDArray

from train.corpus.dataset import digest
from train.errors import ConfigError, OutputError
from train.evaluation.metrics import evaluate, label_matrix
from train.learning.card import HELD_OUT
from train.learning.material import Material, annotated_rows, gather, rows_to_rehearse
from train.learning.settings import TrainSettings
from train.rows import Row, content_id
from train.tagging import bundle as layout
from train.taxonomy import Taxonomy

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from train.learning.fit import Fitted
    from train.learning.thresholds import Cuts

_WORK = "checkpoints"
_SHOWN = ("dir", "progress", "sample", "report_to")


def retrain(settings: TrainSettings) -> dict[str, Any]:
    """Fits, thresholds, tests and writes the bundle into `settings.folder`.

    A folder in which the same run was killed is taken up; one that holds a finished bundle is returned as it is.

    Returns:
        What metrics.json holds.

    Raises:
        YaodianError: settings, rows, splits or the encoder are at fault; nothing is written then.
    """
    settings.check()
    folder = settings.folder
    taxonomy, rows, held_out = annotated_rows(settings)
    rehearsal = rows_to_rehearse(settings, taxonomy)
    recorded = _recorded(settings, taxonomy, [*rows, *rehearsal])
    if (folder / layout.DIGESTS).is_file():
        _require_same(recorded, folder)
        return dict(json.loads((folder / layout.METRICS).read_text(encoding="utf-8")))
    _prepare(settings)
    material = gather(settings, taxonomy, rows, held_out, rehearsal)
    _require_cuts(settings, material)
    _require_unseen(settings, material)
    model = material.make()
    _start(recorded, folder)
    fitted, cuts = _fit(settings, material, model)
    metrics = _test(settings, material, fitted, cuts) | {"thresholds_from": cuts.source, "epochs": fitted.epochs}
    _wait_for_others()  # they may still read what is tidied away
    if _is_main():
        with _reported(folder):
            _write(settings, material, fitted, cuts, metrics)
    _wait_for_others()
    return metrics


def _prepare(settings: TrainSettings) -> None:
    import torch
    from transformers.utils import logging as transformers_logging

    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if settings.optim.batch_size % processes:
        raise ConfigError(
            f"optim.batch_size must be a multiple of the {processes} processes, got {settings.optim.batch_size}"
        )
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    if settings.run.n_threads:
        torch.set_num_threads(settings.run.n_threads)


def _require_cuts(settings: TrainSettings, material: Material) -> None:
    """Says before the training, not after it, that thresholds of the bundle gone on from do not fit."""
    from train.learning.thresholds import Cuts

    if not settings.data.n_folds and not material.corpus.validation:
        Cuts.of_bundle(str(settings.init), material.taxonomy.keys)


def _require_unseen(settings: TrainSettings, material: Material) -> None:
    """Refuses to call items held out that the bundle gone on from was trained on, by the ids that it keeps with its out-of-fold scores."""
    if settings.init is None:
        return
    folder, held_out = layout.bundle_folder(settings.init), settings.data.held_out
    try:
        lines = (folder / layout.OUT_OF_FOLD).read_text(encoding="utf-8").splitlines()
        trained = {json.loads(line)["item"] for line in lines}
    except (OSError, ValueError, KeyError, TypeError):
        return
    file = f"{Path(held_out).name}/" if isinstance(held_out, str) else ""
    test = [row | {"plan": row["plan"].removeprefix(file)} for row in material.corpus.test]
    if seen := sum(content_id(row) in trained for row in test):
        raise ConfigError(
            f"init={settings.init}: was trained on {seen} of the {len(test)} held-out items; hold out others, or none: data.held_out=0"
        )


def _fit(settings: TrainSettings, material: Material, model: PreTrainedModel) -> tuple[Fitted, Cuts]:
    """The network, calibrated, and its thresholds."""
    from train.learning.batches import ItemDataset
    from train.learning.export import round_weights
    from train.learning.fit import fit, score
    from train.learning.out_of_fold import out_of_fold_scores
    from train.learning.thresholds import Cuts

    corpus, taxonomy, tokenizer, shape = material.corpus, material.taxonomy, material.tokenizer, material.shape
    training = [*corpus.train, *corpus.rehearsal]
    settings = replace(settings, optim=settings.optim.for_items(len(training)))
    validation = ItemDataset(corpus.validation, tokenizer, taxonomy) if corpus.validation else None
    work = settings.folder / _WORK
    fitted = fit(model, ItemDataset(training, tokenizer, taxonomy), validation, settings, shape, work / "main")
    round_weights(fitted.model)
    if settings.data.n_folds:
        rows = [*corpus.train, *corpus.validation]
        stopped = fitted.epochs if validation is not None else None
        scores = out_of_fold_scores(rows, material.make, tokenizer, taxonomy, settings, shape, stopped, work)
        where = f"out-of-fold scores of {settings.data.n_folds} folds"
    elif validation is not None:
        rows, where = corpus.validation, "validation scores"
        scores = score(fitted.model, validation, shape)
    else:
        return fitted, Cuts.of_bundle(str(settings.init), taxonomy.keys)
    cuts = Cuts.fit(rows, scores, taxonomy.keys, where)
    cuts.calibration.fold_into(fitted.model)
    round_weights(fitted.model)  # what folding changed
    return fitted, cuts


def _test(settings: TrainSettings, material: Material, fitted: Fitted, cuts: Cuts) -> dict[str, Any]:
    """F1 on the held-out plans, with and without items that nearly repeat a training item."""
    from train.learning.batches import ItemDataset
    from train.learning.fit import score

    corpus, keys = material.corpus, material.taxonomy.keys
    part = corpus.test or corpus.validation
    if not part:
        return {
            "test_is": "nothing: no plan was held out",
            "test": None,
            "history": fitted.history,
            "data_digest": corpus.digest,
        }
    scores = score(fitted.model, ItemDataset(part, material.tokenizer, material.taxonomy), material.shape)
    predicted = scores >= np.array(cuts.thresholds)
    fresh = sorted(set(range(len(part))) - set(corpus.repeated)) if corpus.repeated else []
    return {
        "test_is": HELD_OUT if corpus.test else "validation plans: nothing was held out",
        "test": _scores(part, predicted, list(range(len(part))), keys),
        "leakage": {
            "mode": settings.data.leakage,
            "repeated": len(corpus.repeated),
            "dropped": len(corpus.dropped),
            "without": _scores(part, predicted, fresh, keys) if fresh else None,
        },
        "calibration": cuts.calibration_figures(part, scores, keys),
        "data_digest": corpus.digest,
        "history": fitted.history,
    }


def _scores(rows: Sequence[Row], predicted: NDArray[np.bool_], chosen: list[int], keys: list[str]) -> dict[str, Any]:
    gold = label_matrix([rows[i] for i in chosen], keys)
    return evaluate(gold, predicted[chosen], [rows[i]["plan"] for i in chosen], keys).as_dict()


def _write(settings: TrainSettings, material: Material, fitted: Fitted, cuts: Cuts, metrics: dict[str, Any]) -> None:
    """Writes all files of the bundle; the digests come last and make it whole."""
    from train.learning.card import model_card
    from train.learning.curves import draw_curves
    from train.learning.export import export_onnx, save_weights

    folder = settings.folder
    save_weights(fitted.model, folder)
    material.tokenizer.save_pretrained(folder)
    export_onnx(fitted.model, folder / layout.MODEL)
    split, thresholds = material.corpus.split, cuts.thresholds
    plans = {"train": split.train, "validation": split.validation, "test": split.test}
    if settings.init and (before := layout.measured_plans(layout.bundle_folder(settings.init))):
        plans["measured_before"] = sorted(before)
    texts = {
        layout.TAXONOMY: material.taxonomy.dump(),
        layout.THRESHOLDS: _json(dict(zip(material.taxonomy.keys, [round(t, 6) for t in thresholds], strict=True))),
        layout.WINDOWS: _json(material.shape.as_dict()),
        layout.METRICS: _json(metrics),
        layout.SPLIT: _json(plans),
        layout.OUT_OF_FOLD: cuts.score_lines(material.taxonomy.keys),
        layout.CARD: model_card(material.taxonomy, thresholds, settings, material.corpus, metrics),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    draw_curves(fitted.history, folder / "curves.png")
    layout.seal(folder, [p.name for p in folder.iterdir() if p.is_file() and p.name != layout.DIGESTS])
    shutil.rmtree(folder / _WORK, ignore_errors=True)


def _json(data: dict[str, Any]) -> str:
    return json.dumps(data, ensure_ascii=False, indent=1) + "\n"


def _start(recorded: str, folder: Path) -> None:
    """Records the settings; an unfinished run in the folder must have had the same ones."""
    if (folder / layout.SETTINGS).is_file():
        _require_same(recorded, folder)
    elif _is_main():
        with _reported(folder):
            folder.mkdir(parents=True, exist_ok=True)
            part = folder / f"{layout.SETTINGS}.part"
            part.write_text(recorded, encoding="utf-8")
            part.replace(folder / layout.SETTINGS)


def _require_same(recorded: str, folder: Path) -> None:
    try:
        same = _results_from((folder / layout.SETTINGS).read_text(encoding="utf-8")) == _results_from(recorded)
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError):
        same = False
    if not same:
        raise ConfigError(
            f"{folder}: holds a run with other settings or other rows (see its config.yaml); choose another run.dir or remove it"
        )


def _results_from(recorded: str) -> dict[str, Any]:
    """Recorded settings but for those that change no result: how the folder is spelt, and what is shown."""
    data: dict[str, Any] = yaml.safe_load(recorded)
    return data | {"run": {key: value for key, value in data["run"].items() if key not in _SHOWN}}


def _recorded(settings: TrainSettings, taxonomy: Taxonomy, rows: Sequence[Row]) -> str:
    """All that a result depends on, as config.yaml holds it."""
    themes = hashlib.sha256(taxonomy.dump().encode()).hexdigest()
    data = settings.as_dict() | {"digests": {"rows": digest(rows), "taxonomy": themes}}
    return str(yaml.safe_dump(data, allow_unicode=True, sort_keys=False))


@contextmanager
def _reported(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror or error}); choose another run.dir") from None


def _is_main() -> bool:
    return os.environ.get("RANK", "0") == "0"


def _wait_for_others() -> None:
    import torch

    if torch.distributed.is_initialized():
        torch.distributed.barrier()
