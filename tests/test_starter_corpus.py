"""The shipped corpus: what its card says is what its rows hold, and every raw plan reads back as its rows."""

import pytest

from train.corpus.card import corpus_card
from train.corpus.near_duplicates import near_duplicates
from train.corpus.starter import READERS, raw_text
from train.plans import read_plan
from train.plans.lines import Line
from train.resources import resource
from train.rows import plan_names, read_rows
from train.taxonomy import Taxonomy

FOLDER = resource("data") / "starter"
TAXONOMY = Taxonomy.load()


@pytest.fixture(scope="module")
def rows():
    return read_rows(FOLDER, TAXONOMY)


def test_the_card_is_the_one_that_the_rows_give(rows):
    assert (FOLDER / "README.md").read_text(encoding="utf-8") == corpus_card(rows, TAXONOMY), (
        "run scripts/corpus_card.py"
    )


def test_there_are_180_plans_nine_thousand_items_and_a_thousand_of_every_theme(rows):
    assert len(plan_names(rows)) >= 180
    assert len(rows) >= 9000
    for key in TAXONOMY.keys:
        assert sum(key in row["labels"] for row in rows) >= 1000, key


def test_a_third_of_the_items_have_no_theme_and_a_sixth_several(rows):
    assert 0.30 <= sum(not r["labels"] for r in rows) / len(rows) <= 0.40
    assert 0.12 <= sum(len(r["labels"]) > 1 for r in rows) / len(rows) <= 0.20


def test_items_are_as_short_as_indicators_and_as_long_as_the_longest_real_ones(rows):
    lengths = [len(row["text"]) for row in rows]
    assert min(lengths) < 15
    assert sum(length >= 400 for length in lengths) >= 0.01 * len(lengths)
    assert max(lengths) >= 800


def test_every_raw_plan_reads_back_as_its_rows(rows):
    for name in plan_names(rows):
        own = [r for r in rows if r["plan"] == name]
        plan = read_plan([Line(line) for line in raw_text(own).splitlines()], name=name)
        assert [(i.number, i.path, i.text, i.units) for i in plan.items] == [
            (r["number"], r["path"], r["text"], r["units"]) for r in own
        ], name


def test_plans_do_not_repeat_one_another(rows):
    repeated = {at for a, b, _ in near_duplicates(rows) for at in (a, b)}
    assert len(repeated) < 0.03 * len(rows)


def test_both_readings_stand_beside_every_label(rows):
    for row in rows:
        assert set(row["annotations"]) == set(READERS)
        assert all(set(reading) <= set(TAXONOMY.keys) for reading in row["annotations"].values())


def test_datasets_reads_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    loaded = datasets.load_dataset(str(FOLDER), cache_dir=str(tmp_path))["train"]
    assert len(loaded) >= 3000
    assert loaded.features["labels"].feature.dtype == "string"
