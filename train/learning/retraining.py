"""One retraining run, from rows to a bundle."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from train.corpus.dataset import REHEARSAL
from train.errors import ConfigError, EncoderError
from train.evaluation.metrics import evaluate, label_matrix
from train.learning.card import HELD_OUT
from train.learning.encoder import find_encoder
from train.learning.material import Material, annotated_rows, gather, rows_to_rehearse
from train.learning.record import begin, is_finished, is_log, recorded, reported, require_same
from train.learning.settings import TrainSettings
from train.rows import Row, content_id
from train.tagging import bundle as layout

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from train.learning.fit import Fitted
    from train.learning.thresholds import Cuts

_WORK = "checkpoints"


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
    record = recorded(settings, taxonomy, [*rows, *rehearsal], _encoder(settings))
    if is_finished(folder):
        require_same(record, folder)
        return dict(json.loads((folder / layout.METRICS).read_text(encoding="utf-8")))
    _prepare(settings)
    material = gather(settings, taxonomy, rows, held_out, rehearsal)
    _require_cuts(settings, material)
    _require_unseen(settings, material)
    model = material.make()
    begin(record, folder)
    with reported(folder):
        fitted, cuts = _fit(settings, material, model)
    metrics = _test(settings, material, fitted, cuts) | {"thresholds_from": cuts.source, "epochs": fitted.epochs}
    _wait_for_others()  # they may still read what is tidied away
    if _is_main():
        with reported(folder):
            _write(settings, material, fitted, cuts, metrics)
    _wait_for_others()
    return metrics


def _encoder(settings: TrainSettings) -> str | None:
    """What the network is loaded from; None too where it is gone, which a run that ended need not mind."""
    try:
        return find_encoder(settings.encoder, settings.init)
    except EncoderError:
        return None


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
    """Refuses to measure a bundle gone on from on what it has learned, or to fit thresholds on scores of it."""
    if settings.init is None:
        return
    init, data, corpus = settings.init, settings.data, material.corpus
    learned = layout.learned_items(layout.bundle_folder(init))
    file = f"{Path(data.held_out).name}/" if isinstance(data.held_out, str) else ""
    test = [row | {"plan": row["plan"].removeprefix(file)} for row in corpus.test]
    if seen := sum(content_id(row) in learned for row in test):
        raise ConfigError(
            f"init={init}: was trained on {seen} of the {len(test)} held-out items; hold out others, or none: data.held_out=0"
        )
    scored = [*corpus.train, *corpus.validation] if data.n_folds else corpus.validation
    if seen := sum(content_id(row) in learned for row in scored):
        raise ConfigError(
            f"init={init}: was trained on {seen} of the {len(scored)} items that thresholds would be fitted on, and scores what it has learned "
            "too well; keep its thresholds, data.n_folds=0 data.validation=0, or leave init away"
        )


def _fit(settings: TrainSettings, material: Material, model: PreTrainedModel) -> tuple[Fitted, Cuts]:
    """The network, calibrated, and its thresholds."""
    from train.learning.batches import ItemDataset
    from train.learning.export import round_weights
    from train.learning.fit import MAIN, fit, score
    from train.learning.out_of_fold import out_of_fold_scores
    from train.learning.thresholds import Cuts

    corpus, taxonomy, tokenizer, shape = material.corpus, material.taxonomy, material.tokenizer, material.shape
    training = [*corpus.train, *corpus.rehearsal]
    settings = replace(settings, optim=settings.optim.for_items(len(training)))
    validation = ItemDataset(corpus.validation, tokenizer, taxonomy) if corpus.validation else None
    work = settings.folder / _WORK
    fitted = fit(model, ItemDataset(training, tokenizer, taxonomy), validation, settings, shape, work / MAIN)
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
        layout.LEARNED: _learned(settings, material),
        layout.CARD: model_card(material.taxonomy, thresholds, settings, material.corpus, metrics),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    draw_curves(fitted.history, folder / "curves.png")
    names = [
        p.name for p in folder.iterdir() if p.is_file() and not p.name.startswith(layout.DIGESTS) and not is_log(p)
    ]
    layout.seal(folder, names)
    shutil.rmtree(folder / _WORK, ignore_errors=True)


def _learned(settings: TrainSettings, material: Material) -> str:
    """Ids of all items that the network has learned, the rehearsed ones and those of the bundle gone on from among them, one a line."""
    corpus = material.corpus
    rehearsed = [row | {"plan": row["plan"].removeprefix(f"{REHEARSAL}/")} for row in corpus.rehearsal]
    ids = {content_id(row) for row in [*corpus.train, *corpus.validation, *rehearsed]}
    if settings.init:
        ids |= layout.learned_items(layout.bundle_folder(settings.init))
    return "".join(f"{each}\n" for each in sorted(ids))


def _json(data: dict[str, Any]) -> str:
    return json.dumps(data, ensure_ascii=False, indent=1) + "\n"


def _is_main() -> bool:
    return os.environ.get("RANK", "0") == "0"


def _wait_for_others() -> None:
    import torch

    if torch.distributed.is_initialized():
        torch.distributed.barrier()
