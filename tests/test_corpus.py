from typing import Any

import pytest
from conftest import FILLER, invented_rows

from train.corpus.dataset import Corpus, build_corpus, digest
from train.errors import SplitError
from train.rows import Row
from train.taxonomy import Taxonomy

TEST = ["甲0县2025.docx", "甲1县2025.docx"]


def build(rows: list[Row], taxonomy: Taxonomy, leakage: str = "drop", held_out: Any = TEST) -> Corpus:
    return build_corpus(rows, taxonomy, held_out=held_out, validation=0.2, leakage=leakage, seed=1)


@pytest.fixture
def leaking() -> list[Row]:
    """Ten plans; the first items of two test plans and of two others are one sentence."""
    rows = invented_rows(10, 12)
    copied = FILLER + "道路"
    return [r | {"text": copied} if r["number"] == "1." and r["plan"][1] in "0158" else r for r in rows]


def test_what_nearly_repeats_a_held_out_item_leaves_training(leaking: list[Row], taxonomy: Taxonomy) -> None:
    corpus = build(leaking, taxonomy)
    assert [(r["plan"], r["number"]) for r in corpus.dropped] == [("甲5县2025.docx", "1."), ("甲8县2025.docx", "1.")]
    assert [(corpus.test[at]["plan"], corpus.test[at]["number"]) for at in corpus.repeated] == [(n, "1.") for n in TEST]
    assert len(corpus.train) + len(corpus.validation) + len(corpus.test) == len(leaking) - 2
    assert not [r for r in corpus.train + corpus.validation if r["text"] == corpus.dropped[0]["text"]]


def test_report_counts_repeats_and_keeps_them_and_allow_does_not_look(leaking: list[Row], taxonomy: Taxonomy) -> None:
    report, allow = build(leaking, taxonomy, "report"), build(leaking, taxonomy, "allow")
    assert (len(report.repeated), report.dropped) == (2, [])
    assert (allow.repeated, allow.dropped) == ([], [])
    assert report.train == allow.train
    with pytest.raises(SplitError, match=r"data\.leakage is one of report, drop, allow, not 'maybe'"):
        build(leaking, taxonomy, "maybe")


def test_a_corpus_that_repeats_itself_says_that_nothing_is_left(taxonomy: Taxonomy) -> None:
    rows = invented_rows(1, 6)
    names = [*TEST, "c", "d"]
    with pytest.raises(
        SplitError, match=r"nothing is left of train and validation after 12 near-repeats .*data\.leakage=report"
    ):
        build(
            [r | {"plan": name, "labels": taxonomy.keys, "text": r["text"] * 2} for name in names for r in rows],
            taxonomy,
        )


def test_rows_to_rehearse_are_drawn_by_the_number_of_training_rows_and_the_seed(
    rows: list[Row], taxonomy: Taxonomy
) -> None:
    other = [r | {"text": r["text"] + "别处"} for r in invented_rows(40, 12, seed=3)]

    def drawn(seed: int = 1, most: int = 10_000, given: list[Row] = other) -> Corpus:
        return build_corpus(
            rows[:36],
            taxonomy,
            held_out=TEST,
            validation=0.0,
            leakage="allow",
            seed=seed,
            rehearsal=given,
            n_rehearsal=most,
        )

    corpus = drawn()
    assert len(corpus.train) == 12  # of three plans two are held out
    assert len(corpus.rehearsal) == 120
    assert {r["plan"].split("/")[0] for r in corpus.rehearsal} == {"rehearsal"}  # plans may have the same names
    assert {r["text"] for r in corpus.rehearsal} <= {r["text"] for r in other}
    assert corpus.split.train == ["甲2县2025.docx"]
    assert len(corpus.test) == 24
    assert drawn().rehearsal == corpus.rehearsal != drawn(seed=2).rehearsal
    assert len(drawn(most=50).rehearsal) == 50
    assert len(drawn(given=other[:7]).rehearsal) == 7
    assert corpus.digest == digest([*rows[:36], *other]) != drawn(given=[]).digest


def test_what_nearly_repeats_a_held_out_item_is_not_rehearsed_either(leaking: list[Row], taxonomy: Taxonomy) -> None:
    rows = [r for r in leaking if r["plan"] in (*TEST, "甲2县2025.docx")]
    corpus = build_corpus(
        rows, taxonomy, held_out=TEST, validation=0.0, leakage="drop", seed=1, rehearsal=leaking[60:72], n_rehearsal=99
    )
    assert [(r["plan"], r["number"]) for r in corpus.dropped] == [("rehearsal/甲5县2025.docx", "1.")]
    assert (len(corpus.rehearsal), len(corpus.train), len(corpus.repeated)) == (11, 12, 2)


def test_a_theme_that_only_the_rehearsal_has_is_learned_from(rows: list[Row], taxonomy: Taxonomy) -> None:
    own = [r | {"labels": ["roads"]} for r in rows[:12]]
    with pytest.raises(SplitError, match="no training example of water, schools"):
        build_corpus(own, taxonomy, held_out=0.0, validation=0.0, leakage="allow", seed=1)
    corpus = build_corpus(
        own, taxonomy, held_out=0.0, validation=0.0, leakage="allow", seed=1, rehearsal=rows[12:], n_rehearsal=99
    )
    assert len(corpus.rehearsal) == 99


def test_a_theme_whose_only_training_examples_were_repeats_is_named(leaking: list[Row], taxonomy: Taxonomy) -> None:
    copied = build(leaking, taxonomy).dropped[0]["text"]
    rows = [r | {"labels": ["schools", "roads"] if r["text"] == copied else ["water", "roads"]} for r in leaking]
    with pytest.raises(
        SplitError, match="no training example of schools after 2 near-repeats of held-out items were dropped"
    ):
        build(rows, taxonomy)


def test_parts_become_datasets_with_labels_as_zeros_and_ones(rows: list[Row], taxonomy: Taxonomy) -> None:
    corpus = build(rows, taxonomy)
    parts = corpus.datasets(taxonomy)
    assert {name: len(part) for name, part in parts.items()} == {
        "train": len(corpus.train), "validation": len(corpus.validation), "test": len(corpus.test)
    }  # fmt: skip
    first, row = parts["train"][0], corpus.train[0]
    assert (first["plan"], first["text"], first["path"]) == (row["plan"], row["text"], row["path"])
    assert first["labels"] == [float(k in row["labels"]) for k in taxonomy.keys]


def test_the_digest_changes_with_any_row_and_its_order(rows: list[Row]) -> None:
    changed = [*rows[:-1], rows[-1] | {"text": "另一条"}]
    digests = {digest(rows), digest(changed), digest(rows[::-1]), digest(rows[:-1])}
    assert len(digests) == 4
    assert digest(list(rows)) in digests
