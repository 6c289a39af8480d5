"""What a run works with: rows, split; a tokenizer; networks to begin with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from train.corpus.dataset import Corpus, build_corpus
from train.corpus.splits import fold_plans
from train.errors import ConfigError
from train.learning.settings import TrainSettings
from train.resources import resource
from train.rows import Row, content_id, plan_names, read_rows
from train.tagging.bundle import bundle_folder, measured_plans
from train.tagging.windows import WindowShape
from train.taxonomy import Taxonomy

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

BUILTIN = "builtin"


@dataclass(slots=True)
class Material:
    """What a run works with."""

    taxonomy: Taxonomy
    corpus: Corpus
    tokenizer: PreTrainedTokenizerBase
    shape: WindowShape
    make: Callable[[], PreTrainedModel]


def annotated_rows(settings: TrainSettings) -> tuple[Taxonomy, list[Row], list[str] | float]:
    """The taxonomy, all rows, and which plans are held out; plans of a held-out file are told apart by its name.

    Raises:
        YaodianError: files of rows or themes that cannot be read, or rows that do not have the key of their plans.
    """
    taxonomy, data = Taxonomy.load(settings.labels), settings.data
    rows = read_rows(_source(data.path), taxonomy, annotated=True, plan_key=data.plan_key)
    if rows and data.plan_key and not any(data.plan_key in row for row in rows):
        raise ConfigError(
            f"data.plan_key={data.plan_key}: no row of {data.path} has it; the first has {', '.join(rows[0])}"
        )
    if not isinstance(data.held_out, str):
        return taxonomy, rows, data.held_out
    test = read_rows(data.held_out, taxonomy, annotated=True, plan_key=data.plan_key)
    held = {content_id(row) for row in test}
    if both := sum(content_id(row) in held for row in rows):
        raise ConfigError(
            f"data.held_out={data.held_out}: {both} of its {len(test)} rows are in data.path={data.path} too; take them out of there"
        )
    for row in test:
        row["plan"] = f"{Path(data.held_out).name}/{row['plan']}"
    return taxonomy, [*rows, *test], plan_names(test)


def rows_to_rehearse(settings: TrainSettings, taxonomy: Taxonomy) -> list[Row]:
    """What may be rehearsed: no plan that the bundle gone on from was measured on, so that its measure stays one.

    Raises:
        ConfigError: the starter corpus is asked for, and the themes are others.
        RowError: files of rows that cannot be read.
    """
    data = settings.data
    if data.rehearsal is None:
        return []
    if data.rehearsal == BUILTIN and taxonomy.keys != Taxonomy.load().keys:
        raise ConfigError(
            "data.rehearsal=builtin has the six themes of labels/taxonomy.yaml; for others give rows of theirs, or data.rehearsal=null"
        )
    key = "plan" if data.rehearsal == BUILTIN else data.plan_key
    rows = read_rows(_source(data.rehearsal), taxonomy, annotated=True, plan_key=key)
    measured = measured_plans(bundle_folder(settings.init)) if settings.init else set()
    measured |= {name.partition("/")[2] for name in measured}  # of a held-out file, behind the file's name
    return [row for row in rows if row["plan"] not in measured]


def _source(path: str) -> str | Path:
    return resource("data") / "starter" if path == BUILTIN else path


def gather(
    settings: TrainSettings, taxonomy: Taxonomy, rows: list[Row], held_out: list[str] | float, rehearsal: list[Row]
) -> Material:
    """Splits the rows and finds the encoder.

    Args:
        settings: of the run.
        taxonomy: the themes.
        rows: annotated.
        held_out: plans by name, or a share of the items.
        rehearsal: rows to draw from for rehearsal.

    Raises:
        SplitError: plans cannot be split or folded as asked.
        EncoderError: the encoder is not there, or not one.
    """
    from transformers import set_seed

    from train.learning.encoder import find_encoder, load_model, load_tokenizer, window_shape

    data = settings.data
    corpus = build_corpus(
        rows,
        taxonomy,
        held_out=held_out,
        validation=data.validation,
        leakage=data.leakage,
        seed=settings.run.seed,
        rehearsal=rehearsal,
        n_rehearsal=data.rehearsal_items,
    )
    if data.n_folds:  # a theme that a fold lacks is said before hours of training, not after
        fold_plans([*corpus.train, *corpus.validation], taxonomy, data.n_folds, settings.run.seed)
    encoder = find_encoder(settings.encoder, settings.init)
    tokenizer = load_tokenizer(encoder, [r["text"] for r in corpus.train])
    shape = window_shape(tokenizer, settings.encoder.max_length, data.overlap, data.max_path, data.headings)

    def make() -> PreTrainedModel:
        set_seed(settings.run.seed)
        return load_model(encoder, settings.encoder, taxonomy, len(tokenizer))

    return Material(taxonomy, corpus, tokenizer, shape, make)
