"""The model card: what a committee asks about a tagger, filled in from the run itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from train.corpus.dataset import Corpus
from train.learning.settings import TrainSettings
from train.learning.thresholds import OF_BUNDLE
from train.rows import plan_names
from train.taxonomy import Taxonomy

HELD_OUT = "held-out plans"  # what metrics.json calls them


def model_card(
    taxonomy: Taxonomy, thresholds: Sequence[float], settings: TrainSettings, corpus: Corpus, metrics: dict[str, Any]
) -> str:
    """The README.md of a bundle.

    Args:
        taxonomy, thresholds: of the bundle.
        settings: resolved.
        corpus: as it was split.
        metrics: what metrics.json holds.
    """
    lines = [
        "---", "language: zh", "library_name: transformers", "pipeline_tag: text-classification", "---", "",
        "# 卫生健康工作要点主题标注模型 · Themes of health work plans", "",
        f"给卫生健康工作要点的条目标注{len(taxonomy)}个主题(可多个,可没有)。Tags the numbered items of Chinese health commissions' work plans.", "",
        "## 效果 Results", "", *_results(taxonomy, thresholds, settings, metrics), "",
        "## 数据 Data", "",
        f"- rows: `{settings.data.path}`, SHA-256 `{corpus.digest}`",
        *(f"- {name}: {len(plan_names(part))} plans, {len(part)} items" for name, part in
          (("training", corpus.train), ("validation", corpus.validation), ("held out", corpus.test))),
        *([f"- rehearsal: {len(corpus.rehearsal)} items drawn from `{settings.data.rehearsal}`"] if corpus.rehearsal else []), "",
        "## 训练 Training", "",
        f"- encoder: {settings.encoder.name} (`{settings.init or settings.encoder.path}`), windows of {settings.encoder.max_length} tokens, "
        f"headings {'shown' if settings.data.headings else 'not shown'}, hidden with probability {settings.data.heading_dropout}, "
        f"items joined with probability {settings.data.joining}",
        f"- {metrics['epochs']} epochs, batch {settings.optim.batch_size}, rate {settings.optim.lr}, seed {settings.run.seed}",
        f"- thresholds: {metrics['thresholds_from']}; never on held-out plans", "- all settings: `config.yaml`", "",
        "## 界限 Limits", "",
        "适用于卫生健康委的年度要点、计划和总结;其他文体、其他部门的文件未测。分数是概率,不是事实;用于统计前请抽查。"
        "Measured on yearly plans and summaries of health commissions only; check a sample before you count with the tags.", "",
    ]  # fmt: skip
    return "\n".join(lines)


def _results(
    taxonomy: Taxonomy, thresholds: Sequence[float], settings: TrainSettings, metrics: dict[str, Any]
) -> list[str]:
    test = metrics["test"]
    if not test:
        cuts = ", ".join(f"`{key}` {cut:.2f}" for key, cut in zip(taxonomy.keys, thresholds, strict=True))
        return [f"未留出计划,没有自测的 F1。No plan was held out, so nothing was measured. Thresholds: {cuts}."]
    leak, calibrated, cuts_from = metrics["leakage"], metrics["calibration"], metrics["thresholds_from"]
    plans, where = "整份留出的计划 whole plans held out", "on the held-out plans"
    if metrics["test_is"] != HELD_OUT:  # what follows is no honest measure, and says so
        plans, where = "验证计划(训练与阈值用过) validation plans, which the training has looked at", "on them"
    mended = "Platt scaling per theme, fitted on " if not cuts_from.startswith(OF_BUNDLE) else "as in "
    return [
        *_theme_rows(taxonomy, thresholds, test), "",
        f"{plans}: {test['n_plans']} ({test['n_items']} 条 items). "
        f"Macro-F1 {_f(test['macro_f1'])} {_interval(test['ci95']['macro_f1'])}, micro-F1 {_f(test['micro_f1'])} "
        f"{_interval(test['ci95']['micro_f1'])}, subset accuracy {_f(test['subset_accuracy'])}. "
        "Intervals: 95 %, bootstrap over plans.", "",
        f"近重复 near-duplicates: {leak['repeated']} of the held-out items nearly repeat a training item "
        f"(`data.leakage={settings.data.leakage}`, {leak['dropped']} training items dropped); macro-F1 without them "
        f"{_f((leak['without'] or {}).get('macro_f1'))}.", "",
        f"校准 calibration: expected calibration error {where} {_f(calibrated['ece_before'])} before, "
        f"{_f(calibrated['ece_after'])} after ({mended}{cuts_from}).",
    ]  # fmt: skip


def _theme_rows(taxonomy: Taxonomy, thresholds: Sequence[float], test: dict[str, Any]) -> list[str]:
    rows = ["| 主题 theme | 阈值 threshold | 支持数 support | P | R | F1 |", "|---|---|---|---|---|---|"]
    for theme, cut in zip(taxonomy.themes, thresholds, strict=True):
        s = test["per_label"][theme.key]
        rows.append(
            f"| {theme.zh} `{theme.key}` | {cut:.2f} | {s['support']} | {_f(s['precision'])} | {_f(s['recall'])} | {_f(s['f1'])} |"
        )
    return rows


def _f(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _interval(ends: Sequence[float | None]) -> str:
    return f"[{_f(ends[0])}, {_f(ends[1])}]"
