"""The corpus card: what is in the starter corpus, counted from the rows themselves."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence

import numpy as np

from train.corpus.agreement import Agreement, agreement
from train.corpus.dataset import digest
from train.corpus.near_duplicates import THRESHOLD, near_duplicates
from train.rows import Row, plan_names
from train.taxonomy import Taxonomy

_LENGTHS = (15, 30, 60, 100, 150, 250, 400, 800)
_LEVELS = ("省", "市", "区", "县", "乡镇")
_KINDS = ("要点", "计划", "总结", "落实情况", "实施方案")
_FRONT = """---
language: zh
license: apache-2.0
task_categories: [text-classification]
configs:
- config_name: default
  data_files: "*.jsonl"
dataset_info:
  features:
{features}
---
"""
_LISTS = ("path", "labels", "before", "after")
_STRINGS = ("plan", "title", "issuer", "number", "text", "units", "mark", "level", "kind", "script")


def corpus_card(rows: Sequence[Row], taxonomy: Taxonomy) -> str:
    """The README.md of the corpus folder.

    Args:
        rows: all rows of the starter corpus, in file order.
        taxonomy: its themes.
    """
    pairs = near_duplicates(rows)
    repeated = len({at for a, b, _ in pairs for at in (a, b)})
    parts = [
        _FRONT.format(features=_features()),
        "# 示例语料 · Starter corpus\n",
        "虚构的卫生健康工作要点、计划和总结,逐条标注六个主题。地名、机构、人物均为虚构。"
        "Invented yearly plans and summaries of health commissions, each item annotated with six themes.\n",
        f"**{len(plan_names(rows))} plans, {len(rows)} items.** SHA-256 of all rows: `{digest(rows)}`.\n",
        "This file is generated: `python scripts/corpus_card.py`.\n",
        "## 怎样写成 How it was written\n",
        _HOW,
        "## 网格 The grid\n",
        _grid(rows),
        "## 主题 Themes\n",
        _themes(rows, taxonomy),
        "## 长度 Length of items\n",
        _lengths(rows),
        "## 一致性 Agreement of the two readings\n",
        _agreement(rows, taxonomy),
        "## 近重复 Near-duplicates\n",
        f"{repeated} of {len(rows)} items ({repeated / len(rows):.1%}) nearly repeat an item of another plan "
        f"(Jaccard similarity of character 4-grams ≥ {THRESHOLD}, figures and punctuation apart): {len(pairs)} pairs. "
        "Real plans share sentences too.\n",
        "## 界限 Known limits\n",
        _LIMITS,
    ]
    return "\n".join(parts)


_HOW = """Each plan was planned by level, kind, year, numbering, length and units, then written whole by a large language model under
instructions that ask for the vocabulary of its year and for the hard cases of the codebook, and never for a copy. The author gave every item its
themes while writing (`annotations.author`). A second reading, by a language model that saw only the item, its headings and the codebook, gave them
again (`annotations.reader`). Where the two differ, `labels` was decided by `labels/codebook.md`, and the codebook was extended where it
was silent; the same pass made recurring cases consistent, so `labels` can differ from both readings. Plans p76 to p187 were written in a second round, in
the drier register of real plans; their author and reader also had the cases in doubt that the codebook has gained since.

A raw plan can be printed from its rows: `train.corpus.starter.raw_text`. The reader gives the same rows back from it; a test holds this for every plan.
"""
_LIMITS = """- Both readings come from language models of one family: their agreement says how clear the codebook is, not how two people would agree.
- The text imitates real plans; F1 on held-out invented plans is therefore higher than on real ones. Real plans decide.
- Six themes of one codebook; other policy fields, other kinds of document and other years than 2015–2026 are not covered.
"""


def _features() -> str:
    lines = [f"  - name: {n}\n    dtype: string" for n in _STRINGS]
    lines += [f"  - name: {n}\n    list: string" for n in _LISTS]
    lines += ["  - name: year\n    dtype: int64"]
    readers = "\n".join(f"    - name: {n}\n      list: string" for n in ("author", "reader"))
    return "\n".join([*lines, f"  - name: annotations\n    struct:\n{readers}"])


def _table(head: Sequence[str], body: Sequence[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in (head, ["---"] * len(head), *body)]
    return "\n".join(lines) + "\n"


def _grid(rows: Sequence[Row]) -> str:
    first = {row["plan"]: row for row in reversed(rows)}
    cells = Counter((row["level"], row["kind"]) for row in first.values())
    body = [[lv, *(cells[lv, k] or "" for k in _KINDS), sum(cells[lv, k] for k in _KINDS)] for lv in _LEVELS]
    years = Counter(row["year"] for row in first.values())
    units = {row["plan"] for row in rows if row["units"]}
    scripts = Counter(row["script"] for row in first.values())
    return "\n".join(
        [
            _table(["level \\ kind", *_KINDS, "plans"], body),
            _table(["year", *map(str, sorted(years))], [["plans", *(years[y] for y in sorted(years))]]),
            f"{len(units)} plans name responsible units; {scripts['traditional']} stand in Traditional script, "
            f"{scripts['debris']} in Traditional script with pinyin debris. "
            f"Depth of headings: {_counted(Counter(len(row['path']) for row in rows))} items.\n",
        ]
    )


def _counted(counts: Counter[int]) -> str:
    return ", ".join(f"{key}: {counts[key]}" for key in sorted(counts))


def _themes(rows: Sequence[Row], taxonomy: Taxonomy) -> str:
    counts = Counter(label for row in rows for label in row["labels"])
    plans = Counter(label for label in taxonomy.keys for _ in {r["plan"] for r in rows if label in r["labels"]})
    body = [[f"{t.zh} `{t.key}`", counts[t.key], plans[t.key]] for t in taxonomy.themes]
    n_none = sum(not row["labels"] for row in rows)
    n_several = sum(len(row["labels"]) > 1 for row in rows)
    return "\n".join(
        [
            _table(["theme", "items", "plans"], body),
            f"No theme: {n_none} items ({n_none / len(rows):.0%}); several: {n_several} ({n_several / len(rows):.0%}).\n",
        ]
    )


def _lengths(rows: Sequence[Row]) -> str:
    lengths = sorted(len(row["text"]) for row in rows)
    edges = [0, *_LENGTHS, 10**6]
    names = [
        f"< {_LENGTHS[0]}",
        *(f"{a}–{b - 1}" for a, b in itertools.pairwise(_LENGTHS)),
        f"≥ {_LENGTHS[-1]}",
    ]
    counts = [sum(a <= n < b for n in lengths) for a, b in itertools.pairwise(edges)]
    middle = f"Median {lengths[len(lengths) // 2]} characters, longest {lengths[-1]}.\n"
    return _table(["characters", *names], [["items", *counts]]) + "\n" + middle


def _agreement(rows: Sequence[Row], taxonomy: Taxonomy) -> str:
    plans = [row["plan"] for row in rows]
    body = []
    for theme in taxonomy.themes:
        found = theme_agreement(rows, plans, theme.key)
        low, high = found.ci95
        body.append(
            [
                f"{theme.zh} `{theme.key}`",
                found.n_first,
                found.n_second,
                found.n_differ,
                f"{found.kappa:.3f} ({low:.3f}–{high:.3f})",
                f"{found.alpha:.3f}",
            ]
        )
    differ = sum(row["annotations"]["author"] != row["annotations"]["reader"] for row in rows)
    changed = sum(row["labels"] != row["annotations"]["author"] for row in rows)
    return (
        _table(["theme", "author", "reader", "differ", "Cohen's κ (95 %)", "Krippendorff's α"], body)
        + f"\nThe readings differ on {differ} items ({differ / len(rows):.1%}); `labels` differs from the author's on {changed}.\n"
    )


def theme_agreement(rows: Sequence[Row], plans: Sequence[str], key: str) -> Agreement:
    """Agreement of the author and the second reader on one theme."""
    first, second = (np.array([key in row["annotations"][who] for row in rows]) for who in ("author", "reader"))
    return agreement(first, second, plans)
