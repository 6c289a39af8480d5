"""How well annotators agree: every pair and all together, theme by theme, and the items they differ on."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from train.corpus.agreement import Agreement, agreement, alpha_interval, krippendorff_alpha
from train.errors import LabelStudioError
from train.labeling.annotations import ReadItem
from train.rows import Row
from train.tagging.writers.part import reported
from train.taxonomy import Taxonomy

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True, slots=True)
class ThemeAgreement:
    """Agreement of all annotators on one theme.

    Attributes:
        theme: its key.
        alpha: Krippendorff's α over everybody, nan where all say the same of every item.
        ci95: 95 % interval of α, bootstrap over plans.
        pairs: agreement of two annotators on the items both read.
    """

    theme: str
    alpha: float
    ci95: tuple[float, float]
    pairs: dict[tuple[str, str], Agreement]


@dataclass(frozen=True, slots=True)
class Compared:
    """What the readings of several annotators say about each other.

    Attributes:
        annotators: by name.
        n_items: items that at least two annotators read.
        themes: one entry for each theme, in taxonomy order.
        differing: rows of the items they differ on, with `annotations` {annotator: labels} and `tasks`.
    """

    annotators: list[str]
    n_items: int
    themes: list[ThemeAgreement]
    differing: list[Row]


def compare(items: Iterable[ReadItem], taxonomy: Taxonomy) -> Compared:
    """Compares the readings of items that at least two annotators read.

    Raises:
        LabelStudioError: there is no such item.
    """
    shared = [item for item in items if len(item.readings) >= 2]
    if not shared:
        raise LabelStudioError("no item has answers of two annotators yet; agreement needs some that both read")
    annotators = sorted({who for item in shared for who in item.readings})
    plans = [str(item.row["plan"]) for item in shared]
    themes = []
    for key in taxonomy.keys:
        readings = np.array([[_said(item, who, key) for item in shared] for who in annotators])
        pairs = {(a, b): _pair(readings, annotators.index(a), annotators.index(b), plans) for a, b in _pairs(shared)}
        themes.append(ThemeAgreement(key, krippendorff_alpha(readings), alpha_interval(readings, plans), pairs))
    differing = [
        item.row
        | {"annotations": {who: list(r.labels) for who, r in sorted(item.readings.items())}, "tasks": item.tasks}
        for item in shared
        if len({r.labels for r in item.readings.values()}) > 1
    ]
    return Compared(annotators, len(shared), themes, differing)


def _said(item: ReadItem, who: str, key: str) -> float:
    return float(key in item.readings[who].labels) if who in item.readings else math.nan


def _pairs(shared: list[ReadItem]) -> list[tuple[str, str]]:
    """Annotators who have items in common."""
    return sorted({pair for item in shared for pair in itertools.combinations(sorted(item.readings), 2)})


def _pair(readings: NDArray[np.float64], a: int, b: int, plans: list[str]) -> Agreement:
    both = ~np.isnan(readings[a]) & ~np.isnan(readings[b])
    return agreement(
        readings[a][both] == 1, readings[b][both] == 1, [p for p, here in zip(plans, both, strict=True) if here]
    )


def table(compared: Compared) -> Table:
    """The figures for a terminal."""
    from rich.table import Table

    out = Table(
        title=f"{len(compared.annotators)} annotators, {compared.n_items} items read by two or more, {len(compared.differing)} disagreed on"
    )
    pairs = sorted({pair for theme in compared.themes for pair in theme.pairs})
    for name in ("theme", "α (95 %)", *(f"κ {a} – {b} (95 %)" for a, b in pairs), "differ"):
        out.add_column(name, justify="left" if name == "theme" else "right", overflow="fold")  # no figure is cut
    for theme in compared.themes:
        kappas = [_interval(theme.pairs[p].kappa, theme.pairs[p].ci95) if p in theme.pairs else "–" for p in pairs]
        differ = sum(theme.theme in _disputed(row) for row in compared.differing)
        out.add_row(theme.theme, _interval(theme.alpha, theme.ci95), *kappas, str(differ))
    return out


def _disputed(row: Row) -> set[str]:
    said = [set(labels) for labels in row["annotations"].values()]
    return set.union(*said) - set.intersection(*said)


def _interval(value: float, ends: tuple[float, float]) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:.3f}" + ("" if math.isnan(ends[0]) else f" ({ends[0]:.3f}–{ends[1]:.3f})")


def write_figures(compared: Compared, path: Path) -> None:
    """Writes the figures as JSON; what is not defined is null.

    Raises:
        OutputError: the file cannot be written.
    """
    themes = {
        t.theme: {
            "alpha": t.alpha,
            "ci95": t.ci95,
            "pairs": [{"annotators": pair, **asdict(found)} for pair, found in t.pairs.items()],
        }
        for t in compared.themes
    }
    data = {
        "annotators": compared.annotators,
        "n_items": compared.n_items,
        "n_differ": len(compared.differing),
        "themes": themes,
    }
    with reported(path):
        path.write_text(json.dumps(_plain(data), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and math.isnan(value) else value
