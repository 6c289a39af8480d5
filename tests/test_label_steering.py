"""What to read again and what to label next, without a server."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import invented_rows, make_bundle
from hypothesis import given
from hypothesis import strategies as st

from train import cli
from train.corpus.near_duplicates import THRESHOLD, Seen, shingles, similarity
from train.errors import BundleError, LabelStudioError
from train.labeling.annotations import Reading, ReadItem
from train.labeling.selection import Pick, Pool, margins, select
from train.labeling.steering import _reasons
from train.labeling.suspects import find_suspects, items_of_rows, out_of_fold
from train.rows import Row, content_id, read_rows, write_rows
from train.tagging import Tagger
from train.tagging import bundle as layout
from train.tagging.bundle import Bundle
from train.taxonomy import Taxonomy

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `yaodian label` with these arguments: (exit code, stdout, stderr)."""

    def command(*arguments: str | Path | int) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["yaodian", "label", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        out, error = capsys.readouterr()
        return int(stop.value.code or 0), out, error

    return command


def item(text: str, **said: list[str]) -> ReadItem:
    """An item of plan p that annotators gave these themes."""
    return ReadItem([], {"plan": "p", "text": text}, {who: Reading(who, tuple(s), "", "") for who, s in said.items()})


# ── selection ─────────────────────────────────────────────────────────────────────────────────────────────────────────

TEXTS = ["甲乙丙丁", "戊己庚辛", "子丑寅卯", "辰巳午未", "申酉戌亥"]
#                  theme 0  theme 1
MARGIN = np.array([[0.1, -9.0], [-0.2, 8.0], [5.0, -0.3], [-6.0, 0.4], [7.0, 0.05]])


def chosen(n: int, strategy: str, positives: list[int], seen: Seen | None = None, seed: int = 0) -> list[Pick]:
    return select(TEXTS, MARGIN, positives, seen or Seen(), n, strategy, seed)


def test_the_unsure_ones_come_first_whatever_the_theme() -> None:
    assert [pick.at for pick in chosen(5, "uncertain", [0, 0])] == [4, 0, 1, 2, 3]
    assert {pick.theme for pick in chosen(5, "uncertain", [0, 0])} == {None}


def test_themes_take_turns_as_often_as_they_lack_examples() -> None:
    # Equal: one each in turn. Shares of 1/(0+1) and 1/(2+1) are three to one; among themes that are owed as much the first is taken.
    assert chosen(4, "balanced", [0, 0]) == [Pick(0, 0), Pick(4, 1), Pick(1, 0), Pick(2, 1)]
    assert [pick.theme for pick in chosen(4, "balanced", [0, 2])] == [0, 0, 1, 0]
    assert [pick.theme for pick in chosen(4, "balanced", [2, 0])] == [1, 0, 1, 1]


def test_an_item_is_taken_once_and_fewer_come_when_there_are_no_more() -> None:
    for strategy in ("balanced", "uncertain", "random"):
        assert sorted(pick.at for pick in chosen(9, strategy, [0, 7])) == [0, 1, 2, 3, 4]
    assert select([], np.zeros((0, 2)), [0, 0], Seen(), 3, "uncertain", 0) == []


def test_chance_depends_on_the_seed_alone() -> None:
    first = [pick.at for pick in chosen(5, "random", [0, 0], seed=1)]
    assert [pick.at for pick in chosen(5, "random", [9, 0], seed=1)] == first
    assert len({tuple(pick.at for pick in chosen(5, "random", [0, 0], seed=seed)) for seed in range(8)}) > 4


def test_the_seed_decides_among_equals_and_only_there() -> None:
    picks = [select(TEXTS, MARGIN * [[1], [0], [0], [0], [1]], [0, 0], Seen(), 3, "uncertain", s) for s in range(9)]
    assert {pick.at for each in picks for pick in each} == {1, 2, 3}
    assert len({tuple(pick.at for pick in each) for each in picks}) > 1


LONG = "深入实施健康素养促进行动,全年开展健康讲座不少于200场"


def test_what_nearly_repeats_a_labelled_or_a_chosen_item_is_passed_over() -> None:
    seen = Seen()
    seen.add(LONG)
    texts = [LONG.replace("200", "300"), "修建三座桥梁并改造县道", "修建三座桥梁并改造县道;", "治理河道"]
    picks = select(texts, np.array([[0.1], [0.2], [0.3], [0.4]]), [0], seen, 4, "balanced", 0)
    assert [pick.at for pick in picks] == [1, 3]


@given(st.lists(st.text("甲乙丙丁", min_size=0, max_size=12), min_size=1, max_size=6), st.text("甲乙丙丁", max_size=12))
def test_a_text_is_held_where_the_exact_similarity_says_so(texts: list[str], text: str) -> None:
    seen = Seen()
    for other in texts:
        seen.add(other)
    assert seen.holds(text) == any(similarity(shingles(text), shingles(o)) >= THRESHOLD for o in texts)


def test_margins_are_nothing_at_the_threshold_and_compare_themes() -> None:
    found = margins(np.array([[0.5, 0.2], [0.8, 0.0]]), [0.5, 0.2])
    # .8 is odds of 4; a score of 0 is taken for the least that is told, one in a million.
    assert found == pytest.approx(np.array([[0, 0], [np.log(4), np.log(1e-6 / (1 - 1e-6)) + np.log(4)]]))


def test_items_that_somebody_has_in_hand_are_no_candidates() -> None:
    skipped, draft, faulty = (item(text) for text in ("乙", "丙", "丁"))
    skipped.n_cancelled, draft.n_drafts = 1, 1
    faulty.faulty["a"] = ("", "task 4: unknown choice")
    pool = Pool.of_items(
        [item("甲"), skipped, draft, faulty, item("戊", a=["roads"], b=["roads", "water"]), item("己", a=[])]
    )
    assert [row["text"] for row in pool.rows] == ["甲"]
    assert pool.n_positive == {"roads": 1, "water": 1}
    assert all(pool.seen.holds(text) for text in "乙丙丁戊己")
    assert not pool.seen.holds("甲")


def test_next_works_on_files_alone(run: Run, bundle: Path, tmp_path: Path) -> None:
    rows = invented_rows(4, 10)
    write_rows(tmp_path / "rows.jsonl", [{k: v for k, v in row.items() if k != "labels"} for row in rows])
    write_rows(tmp_path / "labelled.jsonl", rows[:10])
    files = ("--rows", tmp_path / "rows.jsonl", "--labelled", tmp_path / "labelled.jsonl", "--model", bundle)
    out = tmp_path / "next.jsonl"
    code, _, error = run("next", "-n", 7, *files, "-o", out)
    assert code == 0
    assert error.startswith("7 of 30 unlabelled items (")
    assert error.endswith(f"; written to {out}\n")
    first = read_rows(out)
    assert [row["next"]["rank"] for row in first] == [1, 2, 3, 4, 5, 6, 7]
    assert {content_id(row) for row in first}.isdisjoint(content_id(row) for row in rows[:10])
    before = out.read_bytes()
    assert run("next", "-n", 7, *files, "-o", out)[0] == 0
    assert out.read_bytes() == before
    code, _, error = run("next", "-n", 99, *files, "-o", out, "--strategy", "random")
    assert (code, error) == (0, f"30 of 30 unlabelled items; written to {out}\n")


def test_next_says_when_the_rest_are_near_repeats(run: Run, bundle: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "r.jsonl", [{"plan": "p", "number": str(n), "text": LONG} for n in range(3)])
    code, _, error = run("next", "--rows", tmp_path / "r.jsonl", "-o", tmp_path / "o.jsonl", "--model", bundle)
    assert code == 0
    assert error.startswith("1 of 3 unlabelled items (")
    assert "; all others nearly repeat a labelled or a chosen one; written to " in error


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--strategy", "best"), "--strategy is one of balanced, uncertain, random, not 'best'\n"),
        (("--labelled", "l.jsonl"), "--labelled goes with --rows, and --rows with -o OUT.jsonl\n"),
        (("--rows", "r.jsonl"), "--labelled goes with --rows, and --rows with -o OUT.jsonl\n"),
    ],
)
def test_next_refuses_what_does_not_go_together(run: Run, arguments: tuple[str, ...], says: str) -> None:
    assert run("next", *arguments) == (2, "", says)


# ── suspects ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def scored_bundle(folder: Path, taxonomy: Taxonomy, scores: dict[str, list[float]]) -> Bundle:
    """A bundle with out-of-fold scores of items of plan p; all thresholds are .5."""
    make_bundle(folder, taxonomy)
    lines = [
        {"plan": "p", "at": at, "item": content_id({"plan": "p", "text": text}),
         "scores": dict(zip(taxonomy.keys, each, strict=True))}
        for at, (text, each) in enumerate(scores.items())
    ]  # fmt: skip
    (folder / layout.OUT_OF_FOLD).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return Bundle.open(folder)


@pytest.fixture
def scored(taxonomy: Taxonomy, tmp_path: Path) -> Bundle:
    said = {"修路": [0.9, 0.1, 0.2], "治河": [0.7, 0.6, 0.1], "办学": [0.02, 0.1, 0.55]}
    return scored_bundle(tmp_path / "run", taxonomy, said)


def test_suspects_are_answers_on_the_other_side_of_the_threshold_the_surest_wrong_first(scored: Bundle) -> None:
    items = [
        item("修路", li=[], wu=["roads"]),  # li lacks roads (.9): self-confidence .1
        item("治河", li=["water"]),  # lacks roads (.7): .3
        item("办学", li=["roads"], wu=["roads", "schools"]),  # both have roads (.02); li lacks schools (.55): .45
        item("新增", li=["water"]),  # the model was not trained on it
        item("未标"),
    ]
    found = find_suspects(items, scored, 10)
    assert [(s.item.row["text"], s.said, s.score, s.annotators) for s in found.suspects] == [
        ("办学", "+roads", 0.02, ("li", "wu")),
        ("修路", "-roads", 0.9, ("li",)),
        ("治河", "-roads", 0.7, ("li",)),
        ("办学", "-schools", 0.55, ("li",)),
    ]
    assert (found.n_annotated, found.n_scored) == (4, 3)
    assert len(find_suspects(items, scored, 2).suspects) == 2
    assert find_suspects(items[:1], scored, 1).suspects[0].row()["suspect"] == {
        "theme": "roads",
        "labelled": False,
        "score": 0.9,
        "tasks": [],
        "annotators": ["li"],
    }


def test_a_task_of_two_suspects_has_the_rank_of_the_first_and_both_reasons(scored: Bundle) -> None:
    school, road = item("办学", li=["roads"]), item("修路", li=[])
    school.tasks, road.tasks = [7], [8, 9]
    assert _reasons(find_suspects([school, road], scored, 9).suspects) == {
        7: (1, "+roads 0.020 -schools 0.550"),
        8: (2, "-roads 0.900"),
        9: (2, "-roads 0.900"),
    }


def test_rows_of_several_annotators_are_one_item() -> None:
    rows: list[Row] = [{"plan": "p", "text": "修路", "labels": labels, "annotator": who}
                       for who, labels in (("li", []), ("wu", ["roads"]))]  # fmt: skip
    (one,) = items_of_rows(rows)
    assert {who: reading.labels for who, reading in one.readings.items()} == {"li": (), "wu": ("roads",)}


def test_suspects_works_on_files_alone(run: Run, scored: Bundle, tmp_path: Path) -> None:
    rows = [{"plan": "p", "text": "修路", "labels": []}, {"plan": "q", "text": "治河", "labels": ["water"]}]
    write_rows(tmp_path / "l.jsonl", rows)
    code, out, error = run(
        "suspects", "--model", scored.folder, "--rows", tmp_path / "l.jsonl", "-o", tmp_path / "s.jsonl"
    )
    assert code == 0
    assert "-roads" in out
    assert "0.900" in out
    assert error == (
        f"1 suspects among 1 annotated items that {scored.folder} was trained on, 1 others were not looked at\n"
    )
    (row,) = read_rows(tmp_path / "s.jsonl")
    assert (row["text"], row["labels"], row["suspect"]["theme"]) == ("修路", [], "roads")


def test_a_run_that_cannot_say_what_is_suspect_is_refused(
    scored: Bundle, bundle: Path, taxonomy: Taxonomy, tmp_path: Path
) -> None:
    with pytest.raises(
        LabelStudioError,
        match=r"was trained on none of the 1 annotated items; pull them, type python -m train data\.path=labels\.jsonl",
    ):
        find_suspects([item("新增", li=[])], scored, 9)
    with pytest.raises(BundleError, match=r"has no out-of-fold scores; train with data\.n_folds=2 or more"):
        out_of_fold(Bundle.open(bundle))
    for text, says in (("", "has no out-of-fold"), ('{"plan": "p", "at": 0, "scores": {}}\n', "does not say which")):
        (scored.folder / layout.OUT_OF_FOLD).write_text(text)
        with pytest.raises(BundleError, match=says):
            out_of_fold(scored)


def test_without_a_model_the_latest_run_with_out_of_fold_scores_is_asked(
    run: Run, scored: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = tmp_path / "models/runs"
    shutil.copytree(scored.folder, runs / "older")
    shutil.copytree(scored.folder, runs / "without folds")
    (runs / "without folds" / layout.OUT_OF_FOLD).write_text("")
    os.utime(runs / "older" / layout.DIGESTS, (0, 0))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("train.tagging.bundle.resource", lambda name: tmp_path / name)
    write_rows(tmp_path / "l.jsonl", [{"plan": "p", "text": "修路", "labels": ["roads"]}])
    assert "0 suspects among 1 annotated items that models/runs/older was" in run("suspects", "--rows", tmp_path / "l.jsonl")[2]  # fmt: skip


def test_scores_of_a_pool_come_from_the_bundle(bundle: Path) -> None:
    rows: list[Row] = [{"plan": "p", "text": text} for text in ("修路", "治河", "开会")]
    tagger = Tagger.load(bundle)
    assert Pool.of_rows(rows, [rows[2] | {"labels": []}]).rows == rows[:2]
    # Every margin is as large as every other, so chance decides what comes first, and the deficit for which theme.
    (only,) = Pool.of_rows(rows, [row | {"labels": ["roads", "water"]} for row in rows[:2]]).choose(
        tagger, 5, "balanced", 0
    )
    assert only == (0, "schools")
