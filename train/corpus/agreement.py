"""How well two or more readers agree on a theme: Cohen's κ and Krippendorff's α, with intervals over plans.

Both are a few lines; the one packaged α (krippendorff) is under the GPL.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_RESAMPLES = 1_000
_SEED = 20_240_229


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement of two readers on one theme.

    Attributes:
        kappa: Cohen's κ, ≤ 1; 0 is chance, nan where both readers say the same of every item.
        alpha: Krippendorff's α for nominal data, ≤ 1.
        ci95: 95 % interval of κ, bootstrap over plans.
        n_first, n_second: how often each reader gave the theme.
        n_differ: items on which they differ.
    """

    kappa: float
    alpha: float
    ci95: tuple[float, float]
    n_first: int
    n_second: int
    n_differ: int


def cohen_kappa(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """(p_o − p_e) / (1 − p_e), Cohen 1960.

    Args:
        first, second: bool[n_items], whether each reader gave the theme.

    Example:
        3 of 4 agree, p_e = ½·¼ + ½·¾ = ½.

        >>> cohen_kappa(np.array([1, 1, 0, 0], dtype=bool), np.array([1, 0, 0, 0], dtype=bool))
        0.5
    """
    observed = float((first == second).mean())
    a, b = float(first.mean()), float(second.mean())
    expected = a * b + (1 - a) * (1 - b)
    return (observed - expected) / (1 - expected) if expected < 1 else float("nan")


def krippendorff_alpha(readings: NDArray[np.float64]) -> float:
    """1 − D_o / D_e for nominal data with any number of readers and gaps (Krippendorff 2011, “Computing Krippendorff's α-reliability”).

    Args:
        readings: float[n_readers, n_items] of 0 and 1, nan where a reader did not read an item.

    Returns:
        α ≤ 1; nan where every value is the same.

    Example:
        Values 1 1 | 1 0 | 0 0 | 0 0: D_o = 2/8, D_e = 2·3·5/(8·7).

        >>> round(krippendorff_alpha(np.array([[1, 1, 0, 0], [1, 0, 0, 0]], dtype=float)), 4)
        0.5333
    """
    read = ~np.isnan(readings)
    paired = read.sum(axis=0) >= 2
    readings, read = readings[:, paired], read[:, paired]
    n_each = read.sum(axis=0)
    ones = np.nansum(readings, axis=0)
    observed = float((2 * ones * (n_each - ones) / (n_each - 1)).sum())
    n, n_ones = float(n_each.sum()), float(ones.sum())
    expected = 2 * n_ones * (n - n_ones)
    return 1 - (n - 1) * observed / expected if expected else float("nan")


def agreement(first: NDArray[np.bool_], second: NDArray[np.bool_], plans: Sequence[str]) -> Agreement:
    """Agreement of two readers on one theme.

    Args:
        first, second: bool[n_items].
        plans: the plan of each item; resampled as wholes.
    """
    return Agreement(
        cohen_kappa(first, second),
        krippendorff_alpha(np.stack([first, second]).astype(np.float64)),
        _interval(lambda chosen: cohen_kappa(first[chosen], second[chosen]), plans),
        int(first.sum()),
        int(second.sum()),
        int((first != second).sum()),
    )


def alpha_interval(readings: NDArray[np.float64], plans: Sequence[str]) -> tuple[float, float]:
    """95 % interval of Krippendorff's α, bootstrap over plans; nan with fewer than two plans.

    Args:
        readings: as for `krippendorff_alpha`.
        plans: the plan of each item.
    """
    return _interval(lambda chosen: krippendorff_alpha(readings[:, chosen]), plans)


def _interval(figure: Callable[[NDArray[np.intp]], float], plans: Sequence[str]) -> tuple[float, float]:
    """2.5 % and 97.5 % of a figure over plans drawn with replacement."""
    names, plan = np.unique(np.asarray(plans), return_inverse=True)
    members = [np.flatnonzero(plan == i) for i in range(len(names))]
    draw = np.random.default_rng(_SEED)
    figures = np.array(
        [
            figure(np.concatenate([members[i] for i in draw.integers(0, len(names), len(names))]))
            for _ in range(_RESAMPLES if len(names) > 1 else 0)
        ]
    )
    figures = figures[~np.isnan(figures)]
    low, high = np.percentile(figures, [2.5, 97.5]) if len(figures) else (np.nan, np.nan)
    return float(low), float(high)
