"""Rows to tasks and annotations to rows, without a server."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any, cast

import pytest
from conftest import invented_rows
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from train.errors import InputError, LabelStudioError, OutputError
from train.labeling import upload
from train.labeling.agreement import compare, table, write_figures
from train.labeling.annotations import Reading, ReadItem, merge, read_task
from train.labeling.connection import Server
from train.labeling.project import Project, choices_of, require_themes
from train.labeling.source import Source
from train.labeling.tasks import TaskMaker, by_plan, prediction, row_of
from train.rows import Row, content_id, write_rows
from train.taxonomy import Taxonomy

ROW: Row = {"plan": "甲县.docx", "title": "甲县要点", "number": "1.", "path": ["一、道路", "(一)桥"], "text": "修路", "units": "(交通局)"}  # fmt: skip
THEMES = ["roads", "water", "schools"]


@given(st.lists(st.dictionaries(st.text(), st.text() | st.none() | st.integers() | st.lists(st.text())), max_size=3))
def test_a_row_comes_back_whole_and_the_task_is_text_for_any_database(more: list[dict[str, Any]]) -> None:
    rows = [extra | ROW for extra in more]
    for task in TaskMaker().tasks(rows):
        sent = json.loads(json.dumps(task.data))
        assert row_of(sent) == task.row
        assert task.data["row"].isascii()
        assert all("\x00" not in str(v) and str(v).encode() and str(v) for v in sent.values())


def test_an_item_keeps_its_id_when_its_scores_and_its_title_change() -> None:
    same = [ROW, ROW | {"title": "x", "scores": {"roads": 1.0}, "labels": [], "year": 2025}]
    other = [ROW | {"plan": "乙"}, ROW | {"number": "2."}, ROW | {"text": "修桥"}, ROW | {"path": ["一、道路"]}]
    assert len({content_id(row) for row in same}) == 1
    assert len({content_id(row) for row in [ROW, *other]}) == 5
    assert [t.item for t in TaskMaker().tasks([ROW, ROW])] == [content_id(ROW), f"{content_id(ROW)}-2"]


def test_annotators_see_the_place_of_an_item_and_its_neighbours() -> None:
    rows = [ROW, ROW | {"number": "2.", "text": "治\x00河" + "长" * 300}, {"plan": "甲县.docx", "text": "办学"}]
    first, second, third = (task.data for task in TaskMaker().tasks(rows))
    assert (first["path"], first["number"], first["units"]) == ("一、道路 › (一)桥", "1.", "(交通局)")
    assert first["before"] == " "  # an empty value would be taken for a missing one
    assert first["after"].startswith("2. 治\ufffd河长")
    assert len(first["after"]) < 200
    assert (second["before"], second["after"]) == ("1. 修路", "办学")
    assert (third["title"], third["position"]) == ("甲县.docx", 3)


def test_tasks_of_others_are_no_rows() -> None:
    for data in ({}, {"row": None}, {"row": "{"}, {"row": "[1]"}, {"row": "{}"}):
        assert row_of(data) is None


def test_a_prelabel_is_as_sure_as_its_least_certain_answer(taxonomy: Taxonomy) -> None:
    made = prediction({"labels": ["roads"], "scores": {"roads": 0.9, "water": 0.2, "schools": 0.01}}, taxonomy, "v1")
    assert (made["model_version"], made["score"]) == ("v1", 0.8)
    assert made["result"][0]["value"] == {"choices": ["roads"]}
    none = prediction({"labels": [], "scores": dict.fromkeys(THEMES, 0.1)}, taxonomy, "v1")
    assert none["result"][0]["value"] == {"choices": ["none"]}


def test_the_interface_tells_its_answers_unless_somebody_broke_it(taxonomy: Taxonomy) -> None:
    interface = taxonomy.label_studio_interface()
    assert choices_of(interface) == [*THEMES, "none"]
    for broken in (
        "",
        "<View>",
        interface.replace('toName="item"', 'toName="text"'),
        interface.replace('choice="multiple"', 'choice="single"'),
        '<!DOCTYPE v [<!ENTITY a "b">]><v>&a;</v>',
    ):
        assert choices_of(broken) is None
    more = Project(
        7, "要点", interface.replace('<Choice value="none"', '<Choice value="bridges"/><Choice value="none"')
    )
    require_themes(more, taxonomy, more=True)
    with pytest.raises(
        LabelStudioError,
        match=r"^project 7: its interface adds bridges; give what has its themes, --labels FILE or --model BUNDLE \(push also takes --no-prelabels\)",
    ):
        require_themes(more, taxonomy)  # fmt: skip


# ── Readings ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def item(**said: list[str]) -> ReadItem:
    return ReadItem([1], ROW, {who: Reading(who, tuple(labels), "", "") for who, labels in said.items()})


@pytest.mark.parametrize(
    ("said", "labels"),
    [
        ({"a": ["roads"]}, ["roads"]),
        ({"a": [], "b": [], "c": ["water"]}, []),
        ({"a": ["roads", "water"], "b": ["roads"], "c": ["roads", "water"]}, ["roads", "water"]),
        ({"a": ["roads"], "b": ["water"]}, None),
        ({"a": ["roads"], "b": ["water"], "c": ["schools"]}, []),
        ({"a": ["roads"], "b": ["roads"], "c": ["water"], "d": ["water"]}, None),
    ],
)
def test_the_majority_decides_theme_by_theme_and_half_is_no_majority(
    said: dict[str, list[str]], labels: list[str] | None, taxonomy: Taxonomy
) -> None:
    rows = merge(item(**said), "majority", taxonomy)
    assert (rows and rows[0]["labels"]) == labels if labels is None else rows == [ROW | {"labels": labels}]


def exported(*annotations: dict[str, Any], drafts: int = 0) -> dict[str, Any]:
    return {"id": 5, "annotations": list(annotations), "drafts": [{"user": "b@x"} for _ in range(drafts)]}


def answer(who: Any, *choices: str, at: str = "2025-01-01", **more: Any) -> dict[str, Any]:
    result = [{"from_name": "themes", "value": {"choices": list(choices)}}] if choices else []
    return {"completed_by": who, "result": result, "updated_at": at, **more}


def test_the_last_answer_of_an_annotator_counts(taxonomy: Taxonomy) -> None:
    read = ReadItem([5], ROW)
    task = exported(
        answer(1, "water", at="2025-01-02"), answer(1, "roads", at="2025-01-01"), answer({"id": 2, "email": "b@x"}, "none"),
        answer(None, "schools", "roads"), answer(9), answer(3, "roads", was_cancelled=True), drafts=1,
    )  # fmt: skip
    read_task(read, task, taxonomy, {1: "a@x"})
    assert {who: r.labels for who, r in read.readings.items()} == {
        "a@x": ("water",), "b@x": (), "unknown": ("roads", "schools"),
    }  # fmt: skip
    assert (read.n_cancelled, read.n_drafts, read.faults) == (1, 0, [])  # the draft edits a submitted answer
    read_task(read, exported(drafts=1), taxonomy, {})
    assert read.n_drafts == 1


def test_an_answer_that_cannot_be_taken_counts_until_it_is_corrected(taxonomy: Taxonomy) -> None:
    wrong, right = answer(1, "none", "roads", at="2025-01-02"), answer(1, "water", at="2025-01-03")
    before = answer(1, "roads", at="2025-01-01")
    for said, faults, readings in (
        ((before, wrong), ["task 5: a@x: `none` together with roads"], {}),
        ((before, wrong, right), [], {"a@x": ("water",)}),
        ((right, wrong, before), [], {"a@x": ("water",)}),
    ):
        read = ReadItem([5], ROW)
        read_task(read, exported(*said), taxonomy, {1: "a@x"})
        assert read.faults == faults
        assert {who: r.labels for who, r in read.readings.items()} == readings


def test_what_annotators_said_in_an_earlier_round_is_not_pushed() -> None:
    row = ROW | {"annotator": "li", "comment": "?", "comments": {"li": "?"}, "note": "kept"}
    (task,) = TaskMaker().tasks([row])
    assert row_of(task.data) == ROW | {"note": "kept"}


def test_a_plan_whose_name_the_project_holds_with_another_title_is_told() -> None:
    held = upload.Held(titles={"要点.txt": "甲县要点"})
    pushed = upload.Pushed()
    plans = [[{"plan": name, "title": title, "text": "修路"}] for name, title in
             (("要点.txt", "乙县要点"), ("b/要点.txt", "丙县要点"), ("b/要点.txt", "丙县要点"))]  # fmt: skip
    assert len(list(upload._Missing(held, False).of(plans, pushed, lambda _: None))) == 3
    assert pushed.namesakes == {"要点.txt": "甲县要点"}


def test_no_figure_of_agreement_is_cut_where_lines_are_short(taxonomy: Taxonomy) -> None:
    mails = [f"annotator-{who}@health.example.com" for who in "abcd"]
    said = [[["roads"]] * 4, [["roads"], ["roads"], [], []], [["water"], [], ["water"], []]]
    compared = compare([item(**dict(zip(mails, each, strict=True))) for each in said], taxonomy)
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(table(compared))
    shown = console.export_text()
    assert "…" not in shown
    kappas = [found.kappa for theme in compared.themes for found in theme.pairs.values()]
    assert len(kappas) == 18
    for kappa in kappas:
        assert math.isnan(kappa) or f"{kappa:.3f}" in shown


def test_agreement_needs_items_that_two_have_read_and_writes_no_nan(taxonomy: Taxonomy, tmp_path: Path) -> None:
    with pytest.raises(LabelStudioError, match="no item has answers of two annotators yet"):
        compare([item(a=["roads"])], taxonomy)
    compared = compare([item(a=["roads"], b=["roads"]), item(a=["roads"], b=[]), item(b=[], c=[])], taxonomy)
    assert (compared.annotators, compared.n_items, len(compared.differing)) == (["a", "b", "c"], 3, 1)
    assert set(compared.themes[0].pairs) == {("a", "b"), ("b", "c")}
    assert math.isnan(compared.themes[1].alpha)
    assert table(compared).row_count == 3
    write_figures(compared, tmp_path / "f.json")
    figures = json.loads((tmp_path / "f.json").read_text(), parse_constant=pytest.fail)
    assert figures["themes"]["water"]["alpha"] is None
    with pytest.raises(OutputError, match="cannot be written"):
        write_figures(compared, tmp_path)


# ── What is pushed ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_server_that_keeps_nothing_is_not_sent_the_same_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    class Forgetful:
        url = "http://a"

        def call(self, *_: object, **__: object) -> None:
            """Takes everything."""

    monkeypatch.setattr(upload, "held_items", lambda *_: upload.Held())
    project, server = Project(7, "要点", ""), cast(Server, Forgetful())
    with pytest.raises(
        LabelStudioError, match=r"^http://a: project 7 does not keep the items it is sent; see the server's log$"
    ):
        upload.push(server, project, lambda: [[ROW]], None, lambda _: None)


def test_rows_and_plans_are_pushed_alike_and_a_broken_file_is_named(tmp_path: Path) -> None:
    rows = invented_rows(2, 2)
    (tmp_path / "rows").mkdir()
    write_rows(tmp_path / "rows" / "a.jsonl", rows)
    (tmp_path / "plans").mkdir()
    (tmp_path / "plans" / "a.txt").write_text("甲县2025年工作要点\n1.修好道路和桥梁,年内通车。\n", encoding="utf-8")
    (tmp_path / "plans" / "b.docx").write_bytes(b"x")
    (tmp_path / "plans" / "c.txt").write_text("通知\n", encoding="utf-8")
    source = Source([tmp_path / "rows", tmp_path / "rows" / "a.jsonl", tmp_path / "plans"])
    for _ in range(2):
        plans = list(source.plans())
        assert [p[0]["plan"] for p in plans] == ["甲0县2025.docx", "甲1县2025.docx"] * 2 + ["a.txt"]
    assert [path.name for path in source.failures] == ["b.docx", "c.txt"]
    assert list(by_plan(rows)) == plans[:2]
    with pytest.raises(InputError, match="no such file or folder"):
        Source([tmp_path / "none"])
