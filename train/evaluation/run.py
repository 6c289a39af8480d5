"""`yaodian evaluate`: a bundle and the baselines on annotated rows, in one call."""

from __future__ import annotations

import json
from collections.abc import Sequence, Set
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from rich.console import Console

from train.corpus.near_duplicates import SHORTEST, Seen
from train.errors import BundleError, MissingExtra, RowError
from train.evaluation.baselines import predict_baselines
from train.evaluation.metrics import BoolArray
from train.evaluation.report import Report, compare
from train.resources import resource
from train.rows import Row, content_id, read_rows
from train.tagging import Tagger
from train.tagging.bundle import OUT_OF_FOLD, SETTINGS, SPLIT, Bundle, learned_items

_CONSOLE = Console(stderr=True)
_STARTER = "示例语料", "the starter corpus"


def evaluate_file(
    gold: Path, model: Path | None, train: Path | None, json_out: Path | None, html_out: Path | None
) -> Report:
    """Evaluates and prints; see `compare` for the figures.

    Args:
        gold: annotated rows.
        model: a bundle; None for the default one.
        train: rows for the baselines; None for those the bundle was trained on.
        json_out, html_out: files to write besides.

    Raises:
        YaodianError: rows or bundle are at fault.
    """
    tagger = Tagger.load(model)
    taxonomy = tagger.bundle.taxonomy
    rows = read_rows(gold, taxonomy, annotated=True, plan_key=_settings(tagger.bundle)["data"].get("plan_key", "plan"))
    tagged = tagger.tag_rows(rows)
    scores = np.array([[row["scores"][k] for k in taxonomy.keys] for row in tagged])
    predicted = np.array([[k in row["labels"] for k in taxonomy.keys] for row in tagged], dtype=np.bool_)
    learned = training_rows(tagger.bundle, train)
    baselines: dict[str, BoolArray] = {}
    if learned:
        try:
            baselines = predict_baselines(learned, rows, taxonomy)
        except MissingExtra as error:
            _note(f"without baselines: {error}")
    repeats = _repeats(learned, learned_items(tagger.bundle.folder), rows)
    notes = _unlike_the_model(tagger.bundle, len(learned), train) if baselines else []
    report = compare(rows, taxonomy, scores, predicted, baselines, repeats, notes)
    report.render(Console())
    if json_out:
        report.write_json(json_out)
    if html_out:
        report.write_html(html_out)
    return report


def training_rows(bundle: Bundle, train: Path | None) -> list[Row]:
    """The rows that the bundle learned from, as its settings and split name them; [] with a note where they are not at hand."""
    data = _settings(bundle)["data"]
    key = data.get("plan_key", "plan")
    if train is not None:
        return read_rows(train, bundle.taxonomy, annotated=True, plan_key=key)
    try:
        path = data["path"]
        split = json.loads((bundle.folder / SPLIT).read_text(encoding="utf-8"))
        source = resource("data") / "starter" if path == "builtin" else Path(path)
        plans = {*split["train"], *split["validation"]}
        rows = [r for r in read_rows(source, bundle.taxonomy, annotated=True, plan_key=key) if r["plan"] in plans]
        if data["n_folds"]:  # then every row learned from was scored, and near-repeats of held-out items were dropped
            lines = (bundle.folder / OUT_OF_FOLD).read_text(encoding="utf-8").splitlines()
            scored = {json.loads(line)["item"] for line in lines}
            rows = [r for r in rows if content_id(r) in scored]
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError, RowError, BundleError):
        rows = []
    if not rows:
        _note("without baselines: the rows this bundle was trained on are not here; name them with --train ROWS.jsonl")
    return rows


def _settings(bundle: Bundle) -> dict[str, Any]:
    """What a bundle's run was told; no more than empty `data` where that cannot be read."""
    try:
        told = dict(yaml.safe_load((bundle.folder / SETTINGS).read_text(encoding="utf-8")))
        return told | {"data": dict(told["data"])}
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return {"data": {}}


def _unlike_the_model(bundle: Bundle, n_rows: int, train: Path | None) -> list[tuple[str, str]]:
    """Says in Chinese and English that the baselines learned from fewer rows, where the model went on from a bundle or rehearsed."""
    told = _settings(bundle)
    others = [str(other) for other in (told.get("init"), told["data"].get("rehearsal")) if other]
    if not others:
        return []
    zh = "、".join(_STARTER[0] if other == "builtin" else other for other in others)
    en = " and ".join(_STARTER[1] if other == "builtin" else other for other in others)
    also_zh, also_en = f"模型还学过 {zh} 的条目", f"the model also learned from those of {en}"
    if train is None:
        own_zh, own_en = f"本次训练自己的 {n_rows} 条", f"this run's own {n_rows} rows"
    else:  # these may be the run's own rows, or all that the model ever learned from
        own_zh, own_en = f"{train} 的 {n_rows} 条", f"the {n_rows} rows of {train}"
        also_zh, also_en = f"{also_zh},其中未必都有", f"{also_en}, which may not be among them"
    return [(f"对照只学了{own_zh};{also_zh}", f"the baselines know {own_en} only; {also_en}")]


def _repeats(learned: Sequence[Row], ids: Set[str], rows: Sequence[Row]) -> BoolArray | None:
    """Which rows are of those learned from, or nearly repeat one; None where that cannot be told.

    Args:
        learned: rows learned from, as far as they are at hand.
        ids: content ids of rows learned from; rows so short that they coincide without being copied are told by these alone.
        rows: those in question.
    """
    ids = ids | {content_id(row) for row in learned}
    repeats = np.array([content_id(row) in ids for row in rows], dtype=np.bool_)
    if not learned:
        return repeats if repeats.any() else None  # a row of another id may still be a near-repeat
    seen = Seen()
    for row in learned:
        if len(row["text"]) >= SHORTEST:
            seen.add(row["text"])
    near = [len(row["text"]) >= SHORTEST and seen.holds(row["text"]) for row in rows]
    return repeats | np.array(near, dtype=np.bool_)


def _note(text: str) -> None:
    _CONSOLE.print(text, markup=False, highlight=False, soft_wrap=True)
