"""Scores that no network gave to what it was trained on: each fold's plans are scored by a network fitted on the others."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from train.corpus.splits import fold_plans
from train.learning.batches import ItemDataset
from train.learning.fit import fit, score
from train.learning.settings import TrainSettings
from train.rows import Row
from train.tagging.windows import WindowShape
from train.taxonomy import Taxonomy

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def out_of_fold_scores(
    rows: Sequence[Row],
    make: Callable[[], PreTrainedModel],
    tokenizer: PreTrainedTokenizerBase,
    taxonomy: Taxonomy,
    settings: TrainSettings,
    shape: WindowShape,
    epochs: int | None,
    folder: Path,
) -> NDArray[np.float64]:
    """Scores of every training item from a network that saw no item of its plan.

    Args:
        rows: annotated rows to fold, in whole plans.
        make: a fresh network, the same weights each time.
        tokenizer, taxonomy, settings, shape: as for `fit`.
        epochs: how long each fold trains, where early stopping found that; None for as long as a training part of its size would. No fold is stopped by
            what it is going to score.
        folder: keeps finished folds, so that a killed run does not fit them again.

    Returns:
        float64[n_items, n_themes] in [0, 1].
    """
    folds = fold_plans(rows, taxonomy, settings.data.n_folds, settings.run.seed)
    out = np.full((len(rows), len(taxonomy)), np.nan)
    for number, plans in enumerate(folds, 1):
        inside = [at for at, row in enumerate(rows) if row["plan"] in set(plans)]
        kept = folder / f"fold{number}.json"
        if kept.is_file():
            out[inside] = np.array(json.loads(kept.read_text(encoding="utf-8")))
            continue
        others = ItemDataset([r for r in rows if r["plan"] not in set(plans)], tokenizer, taxonomy)
        own = replace(settings, optim=settings.optim.for_items(len(others)))
        fitted = fit(make(), others, None, settings if epochs else own, shape, folder / f"fold{number}", epochs)
        out[inside] = score(fitted.model, ItemDataset([rows[at] for at in inside], tokenizer, taxonomy), shape)
        if os.environ.get("RANK", "0") == "0":
            temporary = kept.with_suffix(".part")
            temporary.write_text(json.dumps(out[inside].tolist()), encoding="utf-8")
            temporary.replace(kept)
    return out
