"""What a run says at its end: F1 on the held-out plans, where the bundle lies, a sample tagged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from train.errors import ConfigError
from train.learning.settings import TrainSettings
from train.resources import resource
from train.taxonomy import Taxonomy

_SHOWN = 8


def find_sample(name: str | None) -> Path | None:
    """The plan that `run.sample` names: a path, or a file of the shipped `data/sample`.

    Raises:
        ConfigError: neither is there.
    """
    if name is None:
        return None
    path = Path(name) if Path(name).exists() else resource("data") / "sample" / name
    if not path.is_file():
        raise ConfigError(f"run.sample={name}: no such file, here or in {path.parent}; give the path of a plan")
    return path


def summarise(settings: TrainSettings, metrics: dict[str, Any], sample: Path | None = None) -> None:
    """Prints the figures of a finished run and, where a sample is given, its first items with their tags."""
    console = Console()
    taxonomy = Taxonomy.load(settings.folder / "taxonomy.yaml")
    test = metrics["test"]
    if test:
        _show_figures(metrics, taxonomy, console)
    else:
        console.print("no plan was held out: this run has no F1 of its own; `yaodian evaluate` measures the bundle")
    console.print(f"bundle: {settings.folder}", soft_wrap=True)
    if sample:
        _show_sample(settings, sample, console)


def _show_figures(metrics: dict[str, Any], taxonomy: Taxonomy, console: Console) -> None:
    test = metrics["test"]
    table = Table(title=f"F1 on {metrics['test_is']} ({test['n_plans']} plans, {test['n_items']} items)")
    for name in ("theme", "support", "precision", "recall", "F1"):
        table.add_column(name, justify="left" if name == "theme" else "right")
    for theme in taxonomy.themes:
        s = test["per_label"][theme.key]
        table.add_row(
            escape(f"{theme.zh} {theme.key}"), str(s["support"]), *(_f(s[k]) for k in ("precision", "recall", "f1"))
        )
    console.print(table)
    for name in ("macro_f1", "micro_f1"):
        low, high = test["ci95"][name]
        console.print(f"{name} {_f(test[name])}  95 % [{_f(low)}, {_f(high)}]")
    calibrated = metrics["calibration"]
    console.print(f"calibration error {_f(calibrated['ece_before'])} before, {_f(calibrated['ece_after'])} after")
    leak = metrics["leakage"]
    if leak["without"]:
        console.print(
            f"without {leak['repeated']} near-duplicates of training items: macro_f1 {_f(leak['without']['macro_f1'])}"
        )


def _show_sample(settings: TrainSettings, sample: Path, console: Console) -> None:
    from train.tagging import Tagger

    tagger = Tagger.load(settings.folder)
    names = {t.key: t.zh for t in tagger.bundle.taxonomy.themes}
    rows = tagger.tag(sample)
    table = Table(title=f"{escape(sample.name)}: the first {min(_SHOWN, len(rows))} of {len(rows)} items")
    for name in ("number", "themes", "text"):
        table.add_column(name)
    for row in rows[:_SHOWN]:
        table.add_row(
            *map(escape, (row["number"], "、".join(names[k] for k in row["labels"]) or "-", row["text"][:48]))
        )
    console.print(table)


def _f(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
