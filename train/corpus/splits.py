"""Splits that never cut a plan, with themes spread as evenly as whole plans allow.

Iterative stratification (Sechidis, Tsoumakas & Vlahavas 2011, “On the stratification of multi-label data”) with the plan as the unit:
the theme with the fewest items left to place goes first; the plan with most of it goes to the part that still wants most of it.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from train.errors import SplitError
from train.rows import Row, plan_names
from train.taxonomy import Taxonomy


@dataclass(frozen=True, slots=True)
class Split:
    """Names of the plans of each part; every plan is in exactly one."""

    train: list[str]
    validation: list[str]
    test: list[str]


def split_plans(
    rows: Sequence[Row],
    taxonomy: Taxonomy,
    *,
    held_out: list[str] | float,
    validation: float,
    seed: int,
    elsewhere: Collection[str] = (),
) -> Split:
    """Splits annotated rows by plan.

    Args:
        rows: annotated rows.
        taxonomy: the themes to spread.
        held_out: names of the plans to hold out, or the share of items, 0 ≤ share < 1.
        validation: share of the remaining items that early stopping looks at, 0 ≤ share < 1.
        seed: breaks ties.
        elsewhere: themes that training has examples of beside these rows.

    Raises:
        SplitError: too few plans, a named plan that is not there, or a theme without an example in the training part.
    """
    names = plan_names(rows)
    if isinstance(held_out, list):
        known, wanted = set(names), set(held_out)
        if missing := [n for n in held_out if n not in known]:
            raise SplitError(f"held-out plans not in the data: {', '.join(missing)}; it has {', '.join(names[:8])} …")
        test = [n for n in names if n in wanted]
    else:
        test = _share(rows, taxonomy, names, held_out, seed) if held_out else []
    tested = set(test)
    rest = [n for n in names if n not in tested]
    if len(rest) < 1 + (validation > 0):
        needed = "2 must be left for training and validation" if validation else "1 must be left for training"
        raise SplitError(f"{len(names)} plans, {len(test)} of them held out: at least {needed}")
    chosen = _share(rows, taxonomy, rest, validation, seed + 1) if validation else []
    validated = set(chosen)
    split = Split([n for n in rest if n not in validated], chosen, test)
    _require_examples(rows, [k for k in taxonomy.keys if k not in elsewhere], split.train, "training")
    return split


def fold_plans(rows: Sequence[Row], taxonomy: Taxonomy, n_folds: int, seed: int) -> list[list[str]]:
    """Deals the plans of the rows into folds.

    Raises:
        SplitError: fewer plans than folds, or a theme that all but one fold lack.
    """
    names = plan_names(rows)
    if len(names) < n_folds:
        raise SplitError(
            f"{n_folds} folds need at least as many plans, the training data has {len(names)}; set data.n_folds lower"
        )
    folds = deal(rows, taxonomy, names, [Fraction(1, n_folds)] * n_folds, seed)
    for at, fold in enumerate(folds):
        inside = set(fold)
        _require_examples(rows, taxonomy.keys, [n for n in names if n not in inside], f"fold {at + 1}'s training")
    return folds


def deal(
    rows: Sequence[Row], taxonomy: Taxonomy, names: Sequence[str], shares: Sequence[Fraction], seed: int
) -> list[list[str]]:
    """Deals plans into parts of about the given shares of items and of each theme's items; no part stays empty.

    Args:
        rows: annotated rows; rows of other plans are passed over.
        taxonomy: themes to spread; items without a theme count as one more.
        names: the plans to deal.
        shares: sizes wanted, summing to 1.
        seed: order among equals.
    """
    counts = {n: np.zeros(len(taxonomy) + 2) for n in names}  # themes, no theme, all
    for row in rows:
        if row["plan"] in counts:
            counts[row["plan"]] += _profile(row, taxonomy)
    order = list(names)
    random.Random(seed).shuffle(order)
    total = sum(counts.values(), np.zeros(len(taxonomy) + 2))
    wanted = np.array([[float(s) * t for t in total] for s in shares])
    parts: list[list[str]] = [[] for _ in shares]
    table = np.array([counts[n] for n in order])
    left, waits = total.copy(), np.ones(len(order), dtype=bool)
    for n_waiting in range(len(order), 0, -1):
        theme = min((i for i in range(len(left)) if left[i] > 0), key=lambda i: left[i], default=len(left) - 1)
        at = int(np.where(waits, table[:, theme], -1).argmax())
        empty = [i for i, part in enumerate(parts) if not part]
        hungry = [i for i in range(len(parts)) if wanted[i][-1] > 0] or list(range(len(parts)))
        among = empty if len(empty) >= n_waiting else hungry
        part = max(among, key=lambda i: (wanted[i][theme], wanted[i][-1]))
        parts[part].append(order[at])
        wanted[part] -= table[at]
        left -= table[at]
        waits[at] = False
    inside = [set(part) for part in parts]
    return [[n for n in names if n in part] for part in inside]


def _profile(row: Row, taxonomy: Taxonomy) -> NDArray[np.float64]:
    labels = row["labels"]
    return np.array([*(k in labels for k in taxonomy.keys), not labels, True], dtype=float)


def _share(rows: Sequence[Row], taxonomy: Taxonomy, names: list[str], share: float, seed: int) -> list[str]:
    part = Fraction(share).limit_denominator(1000)
    return deal(rows, taxonomy, names, [part, 1 - part], seed)[0]


def _require_examples(rows: Sequence[Row], themes: list[str], plans: list[str], part: str) -> None:
    inside = set(plans)
    seen = {label for row in rows if row["plan"] in inside for label in row["labels"]}
    if missing := [k for k in themes if k not in seen]:
        raise SplitError(
            f"no {part} example of {', '.join(missing)}: hold out other plans (data.held_out), annotate more, or drop the theme"
        )
