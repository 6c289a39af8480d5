"""The figures of an evaluation side by side: as tables in the terminal, as JSON, and as a page with the items that went wrong."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from train.errors import OutputError
from train.evaluation.metrics import BoolArray, FloatArray, Interval, Scores, evaluate, label_matrix
from train.rows import Row
from train.taxonomy import Taxonomy

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

_NAMES = {
    "model": ("模型", "model"),
    "keyword_list": ("关键词表", "keyword list"),
    "tfidf_linear": ("TF-IDF 线性", "TF-IDF linear"),
}
_FEW_PLANS = 10


@dataclass(frozen=True, slots=True)
class WrongItem:
    """An item whose predicted themes are not the annotated ones.

    Attributes:
        row: the gold row.
        gold, predicted: theme keys in column order.
        scores: probability by theme key.
    """

    row: Row
    gold: list[str]
    predicted: list[str]
    scores: dict[str, float]

    @property
    def surprise(self) -> float:
        """How sure the model was of the theme it is most wrong about, [0, 1]; near 1 often means a wrong annotation."""
        wrong = set(self.gold) ^ set(self.predicted)
        return max(abs(self.scores[key] - (key in self.gold)) for key in wrong)


@dataclass(frozen=True, slots=True)
class Report:
    """What an evaluation found.

    Attributes:
        taxonomy: its themes are the rows of the tables.
        model: the tagger's figures.
        baselines: figures on the same items, by name.
        without_near_duplicates: the tagger's figures on the items that do not nearly repeat a training item, if that was asked and any are left.
        n_repeats: how many items do; None if that was not asked.
        notes: what the figures have to be read with, in Chinese and English.
        wrong: the tagger's wrong items, most surprising first.
    """

    taxonomy: Taxonomy
    model: Scores
    baselines: dict[str, Scores] = field(default_factory=dict)
    without_near_duplicates: Scores | None = None
    n_repeats: int | None = None
    notes: list[tuple[str, str]] = field(default_factory=list)
    wrong: list[WrongItem] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """The model's figures by the `evaluate --json` contract, then `baselines` by name.

        Behind them, where there is something to say: `without_near_duplicates`, `repeated` (`n_repeats`), `notes` and `cautions` (English).
        """
        found = self.model.as_dict() | {
            "baselines": {name: scores.as_dict() for name, scores in self.baselines.items()}
        }
        if self.without_near_duplicates:
            found["without_near_duplicates"] = self.without_near_duplicates.as_dict()
        if self.n_repeats is not None:
            found["repeated"] = self.n_repeats
        for kind, said in (("notes", self.notes), ("cautions", cautions(self))):
            if said:
                found[kind] = [en for _, en in said]
        return found

    def write_json(self, path: str | Path) -> None:
        """Writes `as_dict` as JSON.

        Raises:
            OutputError: the file cannot be written.
        """
        _write(path, json.dumps(self.as_dict(), ensure_ascii=False, indent=2, allow_nan=False) + "\n")

    def write_html(self, path: str | Path) -> None:
        """Writes one page that needs nothing else: figures, bars, and every wrong item.

        Raises:
            OutputError: the file cannot be written.
        """
        from train.evaluation.page import page

        _write(path, page(self))

    def render(self, console: Console) -> None:
        """Prints the tables: a row per theme, then the figures over all themes, what they rest on, and what must not be overlooked."""
        console.print(_theme_table(self))
        console.print()
        console.print(_overall_table(self))
        console.print()
        console.print(basis(self.model)[1], highlight=False)
        for _, en in self.notes:
            console.print(en, markup=False, highlight=False)
        for _, en in cautions(self):
            console.print(en, style="bold red", markup=False, highlight=False)


def compare(
    rows: Sequence[Row],
    taxonomy: Taxonomy,
    scores: FloatArray,
    predicted: BoolArray,
    baselines: Mapping[str, BoolArray] | None = None,
    repeats: BoolArray | None = None,
    notes: Sequence[tuple[str, str]] = (),
) -> Report:
    """Scores the tagger and the baselines on the same annotated rows.

    Args:
        rows: annotated rows.
        taxonomy: the tagger's.
        scores: shape (n_items, n_themes), the tagger's probabilities.
        predicted: shape (n_items, n_themes), the tagger's themes.
        baselines: by name, shape (n_items, n_themes).
        repeats: shape (n_items,), whether an item nearly repeats a training item.
        notes: what the figures have to be read with, in Chinese and English.

    Returns:
        The report.

    Raises:
        RowError: rows that are not annotated or have an unknown theme.
        ValueError: shapes that do not match, or no rows.
    """
    gold, plans, keys = label_matrix(rows, taxonomy.keys), [str(row["plan"]) for row in rows], taxonomy.keys
    fresh = None if repeats is None else np.flatnonzero(~repeats)
    return Report(
        taxonomy=taxonomy,
        model=evaluate(gold, predicted, plans, keys),
        baselines={name: evaluate(gold, tagged, plans, keys) for name, tagged in (baselines or {}).items()},
        without_near_duplicates=None
        if fresh is None or not fresh.size
        else evaluate(gold[fresh], predicted[fresh], [plans[at] for at in fresh], keys),
        n_repeats=None if repeats is None else int(repeats.sum()),
        notes=list(notes),
        wrong=_wrong_items(rows, keys, gold, scores, predicted),
    )


def _wrong_items(
    rows: Sequence[Row], keys: list[str], gold: BoolArray, scores: FloatArray, predicted: BoolArray
) -> list[WrongItem]:
    def names(flags: BoolArray) -> list[str]:
        return [key for key, flag in zip(keys, flags, strict=True) if flag]

    wrong = [
        WrongItem(rows[at], names(gold[at]), names(predicted[at]), dict(zip(keys, map(float, scores[at]), strict=True)))
        for at in np.flatnonzero((gold != predicted).any(axis=1))
    ]
    return sorted(wrong, key=lambda item: -item.surprise)


def _write(path: str | Path, text: str) -> None:
    try:  # half a surrogate pair, left by a broken decoder upstream, becomes a numeric reference instead of a crash
        Path(path).write_text(text, encoding="utf-8", errors="xmlcharrefreplace", newline="\n")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}); choose another place") from None


def figure(value: float, ends: Interval | None = None) -> str:
    """Three decimals and the interval in brackets; a dash for what is undefined."""
    if math.isnan(value):
        return "—"
    return f"{value:.3f}" + (f" ({ends[0]:.3f}–{ends[1]:.3f})" if ends and not math.isnan(ends[0]) else "")


def display_name(key: str) -> tuple[str, str]:
    """Chinese and English name of the model or a baseline; a baseline of another name is shown by it."""
    return _NAMES.get(key, (key, key))


def overall(report: Report) -> list[tuple[str, str, Scores]]:
    """Chinese name, English name and figures of all that was scored, the model first."""
    found = [(*display_name("model"), report.model)]
    if fresh := report.without_near_duplicates:
        zh, en = (
            f"模型,不计与训练集近似重复的条目(余 {fresh.n_items} 条)",
            f"model, without near-duplicates of training ({fresh.n_items} items)",
        )
        found.append((zh, en, fresh))
    return found + [(*display_name(name), scores) for name, scores in report.baselines.items()]


def basis(scores: Scores) -> tuple[str, str]:
    """What the figures rest on, with the caution that few plans call for, in Chinese and English."""
    zh = f"{scores.n_items} 条、{scores.n_plans} 份计划"
    en = f"{scores.n_items} item{'s' * (scores.n_items != 1)}, {scores.n_plans} plan{'s' * (scores.n_plans != 1)}"
    if scores.n_plans < 2:
        return f"{zh};少于两份计划,不能给出区间", f"{en}; no intervals from fewer than two plans"
    zh, en = f"{zh};括号内为 95% 区间(按计划自助抽样)", f"{en}; in brackets 95% intervals, bootstrap over plans"
    if scores.n_plans < _FEW_PLANS:
        return (
            f"{zh};计划少于 {_FEW_PLANS} 份,区间偏窄,仅供参考",
            f"{en}; too narrow with fewer than {_FEW_PLANS} plans",
        )
    return zh, en


def cautions(report: Report) -> list[tuple[str, str]]:
    """What must not be overlooked when the figures are read, in Chinese and English."""
    n_repeats, n_items = report.n_repeats, report.model.n_items
    if not n_repeats:
        return []
    zh = f"{n_items} 条中有 {n_repeats} 条与模型训练过的条目重复或近似重复"
    en = f"{n_repeats} of {n_items} item{'s' * (n_items != 1)} nearly repeat{'s' * (n_repeats == 1)} items that the model was trained on"
    if n_repeats == n_items:
        return [(f"{zh}:这个 F1 不能说明模型在新计划上的表现", f"{en}: this F1 says nothing about new plans")]
    return [(zh, en)]


def _table(names: Sequence[str | Text], figures: Sequence[str | Text], *, fold_names: bool) -> Table:
    """An empty table: `names` to the left, `figures` to the right; where the terminal is narrow, one of the two keeps its width."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE, padding=(0, 1, 0, 0), show_edge=False, pad_edge=False)
    for name in names:
        table.add_column(name, overflow="fold", no_wrap=not fold_names, vertical="bottom")
    for name in figures:
        table.add_column(name, justify="right", overflow="fold", no_wrap=fold_names, vertical="bottom")
    return table


def _theme_table(report: Report) -> Table:
    from rich.text import Text

    others = [Text("\n".join([*display_name(name)[1].split(), "F1"])) for name in report.baselines]
    table = _table(["theme", ""], ["support", "precision", "recall", "F1", *others], fold_names=False)
    for theme in report.taxonomy.themes:
        own = report.model.per_theme[theme.key]
        f1s = [own.f1, *(scores.per_theme[theme.key].f1 for scores in report.baselines.values())]
        table.add_row(Text(theme.zh), theme.key, str(own.support), *map(figure, (own.precision, own.recall, *f1s)))
    return table


def _overall_table(report: Report) -> Table:
    from rich.text import Text

    table = _table([""], ["macro F1", "micro F1", "subset accuracy"], fold_names=True)
    for _, name, scores in overall(report):
        macro, micro = (figure(getattr(scores, kind), scores.ci95[kind]) for kind in ("macro_f1", "micro_f1"))
        table.add_row(Text(name), macro, micro, figure(scores.subset_accuracy))
    return table
