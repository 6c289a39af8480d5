"""Annotated rows → `datasets.DatasetDict`, split by plan and kept free of leakage."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from train.corpus.near_duplicates import near_duplicates
from train.corpus.splits import Split, split_plans
from train.errors import SplitError
from train.rows import Row, dump_row
from train.taxonomy import Taxonomy

if TYPE_CHECKING:
    from datasets import DatasetDict

LEAKAGE = ("report", "drop", "allow")
# Rows of rehearsal for each row of one's own: 3 give nothing for one plan, and half of what 10 give for three (`docs/experiments.md`).
REHEARSED = 10
REHEARSAL = "rehearsal"  # begins the names of rehearsed plans


@dataclass(slots=True)
class Corpus:
    """Annotated rows with their place.

    Attributes:
        train, validation, test: rows.
        split: the plans of each part.
        rehearsal: rows of another corpus that are trained on beside one's own, so that a network keeps what it knew.
        repeated: indices into `test` of items that nearly repeat an item of the other two parts, before any was dropped.
        dropped: rows left out of training, rehearsal and validation because they nearly repeat a test item.
        digest: SHA-256 over all rows that were given, in order, those to rehearse last.
    """

    train: list[Row]
    validation: list[Row]
    test: list[Row]
    split: Split
    rehearsal: list[Row] = field(default_factory=list)
    repeated: list[int] = field(default_factory=list)
    dropped: list[Row] = field(default_factory=list)
    digest: str = ""

    def datasets(self, taxonomy: Taxonomy) -> DatasetDict:
        """The parts as Hugging Face datasets: plan, number, path, text and `labels` as float32[n_themes] of 0 and 1."""
        from datasets import Dataset, DatasetDict, Features, Sequence, Value

        features = Features(
            {k: Value("string") for k in ("plan", "number", "text")}
            | {"path": Sequence(Value("string")), "labels": Sequence(Value("float32"), length=len(taxonomy))}
        )
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        return DatasetDict(
            {
                n: Dataset.from_list([_example(r, taxonomy) for r in part], features=features)
                for n, part in parts.items()
            }
        )


def build_corpus(
    rows: Sequence[Row],
    taxonomy: Taxonomy,
    *,
    held_out: list[str] | float,
    validation: float,
    leakage: str,
    seed: int,
    rehearsal: Sequence[Row] = (),
    n_rehearsal: int = 0,
) -> Corpus:
    """Splits rows by plan and treats what nearly repeats a held-out item.

    Args:
        rows: annotated rows; two plans of one name are one plan.
        taxonomy: the themes.
        held_out: plans by name, or a share of the items.
        validation: share of the rest for early stopping.
        leakage: "drop" leaves near-repeats of test items out of training and validation; "report" and "allow" keep them,
            "report" counting them.
        seed: of the split and of what is drawn.
        rehearsal: rows that some are drawn from to be trained on too, `REHEARSED` for each training row, `n_rehearsal` at most.

    Raises:
        SplitError: plans cannot be split as asked.
    """
    if leakage not in LEAKAGE:
        raise SplitError(f"data.leakage is one of {', '.join(LEAKAGE)}, not {leakage!r}")
    known = {label for row in rehearsal for label in row["labels"]}
    split = split_plans(rows, taxonomy, held_out=held_out, validation=validation, seed=seed, elsewhere=known)
    places = {n: part for part in ("train", "validation", "test") for n in getattr(split, part)}
    own = [row for row in rows if places[row["plan"]] == "train"]
    drawn = _draw(rehearsal, own, min(len(rehearsal), REHEARSED * len(own), n_rehearsal), taxonomy, seed)
    given, rows = rows, [*rows, *(row | {"plan": f"{REHEARSAL}/{row['plan']}"} for row in drawn)]
    places |= {row["plan"]: REHEARSAL for row in rows[len(given) :]}
    in_test = [at for at, row in enumerate(rows) if places[row["plan"]] == "test"]
    pairs = near_duplicates(rows) if leakage != "allow" and in_test else []
    crossing = [
        (a, b) if places[rows[b]["plan"]] == "test" else (b, a) for a, b, _ in pairs if _crosses(a, b, rows, places)
    ]
    drop = {a for a, _ in crossing} if leakage == "drop" else set()
    parts: dict[str, list[Row]] = {"train": [], "validation": [], "test": [], REHEARSAL: []}
    for at, row in enumerate(rows):
        if at not in drop:
            parts[places[row["plan"]]].append(row)
    _require_something(parts, len(drop), taxonomy, validation > 0)
    repeated = {b for _, b in crossing}
    return Corpus(
        **parts,
        split=split,
        repeated=[at for at, source in enumerate(in_test) if source in repeated],
        dropped=[rows[a] for a in sorted(drop)],
        digest=digest([*given, *rehearsal]),
    )


def _draw(rehearsal: Sequence[Row], own: Sequence[Row], n_items: int, taxonomy: Taxonomy, seed: int) -> list[Row]:
    """So many rows at random, and one more of each theme that neither they nor one's own have: a handful of items would seldom show all."""
    rng = random.Random(seed)
    drawn = rng.sample(rehearsal, n_items)
    shown, others = {label for row in [*own, *drawn] for label in row["labels"]}, rng.sample(rehearsal, len(rehearsal))
    for key in taxonomy.keys:
        if key not in shown and (row := next((r for r in others if key in r["labels"]), None)):
            drawn.append(row)
            shown.update(row["labels"])
    return drawn


def digest(rows: Sequence[Row]) -> str:
    """SHA-256 over the rows as JSON Lines."""
    return hashlib.sha256("".join(dump_row(r) + "\n" for r in rows).encode()).hexdigest()


def _require_something(parts: dict[str, list[Row]], n_dropped: int, taxonomy: Taxonomy, validates: bool) -> None:
    advice = f"after {n_dropped} near-repeats of held-out items were dropped: hold out other plans (data.held_out) or set data.leakage=report"
    if empty := [name for name in ("train", "validation")[: 1 + validates] if not parts[name]]:
        raise SplitError(f"nothing is left of {' and '.join(empty)} {advice}")
    seen = {label for row in [*parts["train"], *parts[REHEARSAL]] for label in row["labels"]}
    if missing := [k for k in taxonomy.keys if k not in seen]:
        raise SplitError(f"no training example of {', '.join(missing)} {advice}")


def _crosses(a: int, b: int, rows: Sequence[Row], places: dict[str, str]) -> bool:
    return (places[rows[a]["plan"]] == "test") != (places[rows[b]["plan"]] == "test")


def _example(row: Row, taxonomy: Taxonomy) -> dict[str, Any]:
    labels = [float(k in row["labels"]) for k in taxonomy.keys]
    return {
        "plan": row["plan"],
        "number": str(row["number"]),
        "path": row["path"],
        "text": row["text"],
        "labels": labels,
    }
