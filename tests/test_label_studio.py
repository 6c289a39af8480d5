"""The loop against a real Label Studio server: nothing here is a mock."""

from __future__ import annotations

import json
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT, invented_rows, make_bundle
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from train import cli
from train.errors import LabelStudioError
from train.labeling import marks
from train.labeling.download import pull
from train.labeling.listing import tasks_of
from train.labeling.marks import NEXT, SUSPECT
from train.labeling.project import Project, find_project, init_project, open_project
from train.labeling.tasks import by_plan, choice_result
from train.labeling.upload import Pushed, push
from train.rows import Row, content_id, read_rows, write_rows
from train.tagging import Tagger
from train.tagging.bundle import OUT_OF_FOLD
from train.taxonomy import Taxonomy

pytest.importorskip("label_studio_sdk")
pytest.importorskip("fastapi")
from serving import Backend, another_bundle, fake_training
from studio import Studio, annotate

pytestmark = pytest.mark.labelstudio(reason="a real server")
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A server of its own, or the one that STUDIO names, the folder of `scripts/labelstudio start`."""
    folder = os.environ.get("STUDIO")
    server = Studio.running(Path(folder)) if folder else Studio.start(tmp_path_factory.mktemp("studio"))
    yield server
    server.close()
    if not folder:
        server.stop()


@pytest.fixture
def project(studio: Studio, taxonomy: Taxonomy) -> Project:
    return studio.project(taxonomy)


@pytest.fixture
def run(studio: Studio, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `yaodian label` with these arguments: (exit code, stdout, stderr)."""
    monkeypatch.setenv("LABEL_STUDIO_URL", studio.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", studio.refresh)

    def command(*arguments: str | Path | int) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["yaodian", "label", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        out, error = capsys.readouterr()
        assert studio.token not in out + error
        assert studio.refresh not in out + error
        return int(stop.value.code or 0), out, error

    return command


def send(studio: Studio, project: Project, rows: list[Row], tagger: Tagger | None = None) -> Pushed:
    return push(studio.server, project, lambda: by_plan(rows), tagger, lambda _: None)


def fetch(
    studio: Studio, project: Project, taxonomy: Taxonomy, out: Path, rule: str = "majority", who: str | None = None
) -> Any:
    return pull(studio.server, project, taxonomy, out, rule, who, lambda *_: None)


def n_tasks(studio: Studio, project: Project) -> int:
    return sum(1 for _ in tasks_of(studio.server, project, "id"))


# ── init ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_init_makes_a_project_once_and_brings_it_up_to_date(
    studio: Studio, taxonomy: Taxonomy, taxonomy_file: Path, run: Run
) -> None:
    title = f"要点 {secrets.token_hex(4)}"
    says = [run("init", "--project", title, "--labels", taxonomy_file)[2] for _ in range(2)]
    found = find_project(studio.server, title)
    assert found
    assert [
        f"project {found.id} “{title}” {what}: " in said
        for what, said in zip(("created", "up to date"), says, strict=True)
    ] == [True] * 2
    studio.client.projects.update(found.id, expert_instruction="x", label_config=found.interface.replace("道路", "路"))
    assert "updated" in run("init", "--project", title, "--labels", taxonomy_file)[2]
    there = studio.client.projects.get(found.id)
    assert "道路 Roads" in str(there.label_config)
    assert "修路架桥" in str(there.expert_instruction)
    assert there.show_collab_predictions
    assert sum(p.title == title for p in studio.client.projects.list()) == 1


def test_the_shipped_codebook_becomes_the_instructions(studio: Studio) -> None:
    found, _ = init_project(studio.server, f"要点 {secrets.token_hex(4)}", Taxonomy.load(), None)
    instructions = str(studio.client.projects.get(found.id).expert_instruction)
    assert "<table>" in instructions
    assert "disease_control" in instructions
    assert init_project(studio.server, found.title, Taxonomy.load(), None)[1] == "up to date"


def test_two_projects_of_one_title_are_told_apart_by_number(studio: Studio, taxonomy: Taxonomy) -> None:
    first = studio.project(taxonomy)
    second = studio.client.projects.create(title=first.title, label_config=first.interface)
    with pytest.raises(
        LabelStudioError, match=f"2 projects are called {first.title}: {first.id}, {second.id}; give one"
    ):
        open_project(studio.server, first.title)
    assert open_project(studio.server, str(second.id)).id == second.id


# ── push ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_pushing_twice_adds_nothing_twice(studio: Studio, project: Project, bundle: Path) -> None:
    rows, tagger = invented_rows(3, 5), Tagger.load(bundle)
    assert send(studio, project, rows, tagger) == Pushed(15, 15, 0)
    assert send(studio, project, rows, tagger) == Pushed(15, 0, 0)
    more = rows + invented_rows(4, 5)[15:]
    assert send(studio, project, more, tagger) == Pushed(20, 5, 0)
    assert n_tasks(studio, project) == 20


def test_a_prelabel_carries_the_scores_of_all_themes_and_shows(
    studio: Studio, project: Project, taxonomy: Taxonomy, bundle: Path
) -> None:
    texts = ["修路", "治河", "开会", "路校"]
    rows = [
        {"plan": "p", "title": "甲县要点", "number": f"{n}.", "path": ["一、建设"], "text": t}
        for n, t in enumerate(texts, 1)
    ]
    tagger = Tagger.load(bundle)
    send(studio, project, rows, tagger)
    found = studio.tasks(project)
    results = {text: found[text].predictions[0].model_dump() for text in texts}
    chosen = {text: p["result"][0]["value"]["choices"] for text, p in results.items()}
    assert chosen == {"修路": ["roads"], "治河": ["water"], "开会": ["none"], "路校": ["roads", "schools"]}
    assert list(results["修路"]["result"][0]["meta"]["scores"]) == taxonomy.keys
    assert results["修路"]["model_version"] == tagger.bundle.version
    assert 0.9 < results["修路"]["score"] < 1
    assert studio.client.projects.get(project.id).model_version == tagger.bundle.version
    data = found["治河"].data
    assert [data[k] for k in ("title", "path", "number", "before", "after")] == [
        "甲县要点",
        "一、建设",
        "2.",
        "1. 修路",
        "3. 开会",
    ]


def test_prelabels_of_another_bundle_are_added_to_items_that_are_there(
    studio: Studio, project: Project, bundle: Path
) -> None:
    rows, tagger = invented_rows(1, 6), Tagger.load(bundle)
    assert send(studio, project, rows) == Pushed(6, 6, 0)
    assert send(studio, project, rows, tagger) == Pushed(6, 0, 6)
    assert send(studio, project, rows, tagger) == Pushed(6, 0, 0)
    assert {len(t.predictions) for t in studio.tasks(project).values()} == {1}


def test_a_double_that_a_lost_answer_left_behind_is_removed_and_no_annotation_with_it(
    studio: Studio, project: Project, taxonomy: Taxonomy
) -> None:
    rows = invented_rows(1, 4)
    send(studio, project, rows)
    first = studio.tasks(project)
    studio.client.projects.import_tasks(project.id, request=[{"data": t.data} for t in first.values()])
    second = studio.tasks(project)
    annotated = rows[2]["text"]
    annotate(studio.client, second[annotated].id, ["water"], taxonomy)
    assert send(studio, project, rows) == Pushed(4, 0, 0)
    left = {text: t.id for text, t in studio.tasks(project).items()}
    assert left == {text: t.id for text, t in first.items()} | {annotated: second[annotated].id}
    assert n_tasks(studio, project) == 4


def test_an_item_that_a_plan_holds_twice_is_two_items(
    studio: Studio, project: Project, taxonomy: Taxonomy, tmp_path: Path
) -> None:
    rows: list[Row] = [{"plan": "p", "number": "", "path": [], "text": "修路", "units": "", "n": n} for n in range(3)]
    send(studio, project, rows)
    assert send(studio, project, rows).n_new == 0
    for task in studio.client.tasks.list(project=project.id):
        annotate(studio.client, task.id, ["roads"], taxonomy)
    fetch(studio, project, taxonomy, tmp_path / "l.jsonl")
    assert read_rows(tmp_path / "l.jsonl") == [row | {"labels": ["roads"]} for row in rows]


# ── pull ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

odd = st.text(min_size=1, max_size=25).filter(str.strip) | st.sampled_from(
    [
        "\ud800",
        "甲\x00乙",
        "<b>&amp;",
        "$text",
        "s3://x/y",
        "{{a}}",
        "=1+1",
        "甲\u2028乙\r\n丙",
        "'\"\\",
        "🏥" * 3,
        "\u202e右",
        "http://a/b.jpg",
    ]
)
odd_row = st.fixed_dictionaries(
    {"plan": odd, "number": st.text(max_size=4), "path": st.lists(odd, max_size=2), "text": odd, "units": st.text(max_size=4),
     "labels": st.lists(st.sampled_from(["roads", "water", "schools"]), max_size=3, unique=True)},
    optional={"title": st.none() | odd, "year": st.none() | st.integers(), "scores": st.just({"water": 0.25}), "我的列": odd},
)  # fmt: skip


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(odd_row, min_size=1, max_size=15))
def test_rows_come_back_as_they_were_whatever_their_texts(
    studio: Studio, taxonomy: Taxonomy, bundle: Path, tmp_path: Path, rows: list[Row]
) -> None:
    plans = list(dict.fromkeys(r["plan"] for r in rows))
    rows = [r | {"labels": taxonomy.ordered(r["labels"])} for plan in plans for r in rows if r["plan"] == plan]
    project = studio.project(taxonomy)
    send(studio, project, rows, Tagger.load(bundle))
    for task in studio.client.tasks.list(project=project.id):
        annotate(studio.client, task.id, json.loads(task.data["row"])["labels"], taxonomy)
    pulled = fetch(studio, project, taxonomy, tmp_path / "l.jsonl")
    assert (pulled.n_items, pulled.n_rows, pulled.faults) == (len(rows), len(rows), [])
    assert read_rows(tmp_path / "l.jsonl", taxonomy, annotated=True) == rows
    studio.client.projects.delete(project.id)


@pytest.fixture(scope="session")
def colleagues(studio: Studio) -> dict[str, Any]:
    return {"admin": studio.client, "li": studio.annotator("li@example.com"), "wu": studio.annotator("wu@example.com")}


def answers(
    studio: Studio,
    project: Project,
    taxonomy: Taxonomy,
    colleagues: dict[str, Any],
    said: dict[str, dict[str, list[str]]],
) -> None:
    """Pushes items and has each annotator answer: {text: {annotator: labels}}."""
    rows = [{"plan": f"p{n % 3}", "number": "", "path": [], "text": text, "units": ""} for n, text in enumerate(said)]
    send(studio, project, sorted(rows, key=lambda r: str(r["plan"])))
    found = studio.tasks(project)
    for text, by in said.items():
        for who, labels in by.items():
            annotate(colleagues[who], found[text].id, labels, taxonomy)


SAID: dict[str, dict[str, list[str]]] = {
    "甲": {"admin": ["roads"], "li": ["roads"], "wu": ["water"]},
    "乙": {"admin": ["roads"], "li": ["water"]},
    "丙": {"admin": [], "li": [], "wu": []},
    "丁": {"li": ["roads", "schools"]},
    "戊": {"admin": ["water"], "li": ["water"]},
    "己": {"admin": ["schools"], "li": [], "wu": ["schools"]},
    "庚": {},
}


def test_annotators_are_merged_by_the_rule_that_is_asked_for(
    studio: Studio, project: Project, taxonomy: Taxonomy, colleagues: dict[str, Any], tmp_path: Path
) -> None:
    answers(studio, project, taxonomy, colleagues, SAID)
    out = tmp_path / "l.jsonl"
    tie = studio.tasks(project)["乙"].id

    def labels(rule: str, who: str | None = None) -> dict[str, list[str]]:
        pulled = fetch(studio, project, taxonomy, out, rule, who)
        if rule == "majority":
            assert pulled.undecided == [tie]
        return {row["text"]: row["labels"] for row in read_rows(out, taxonomy)}

    assert labels("majority") == {
        "甲": ["roads"],
        "丙": [],
        "丁": ["roads", "schools"],
        "戊": ["water"],
        "己": ["schools"],
    }
    assert labels("adjudicator", "li@example.com") == {text: by["li"] for text, by in SAID.items() if by}
    assert "甲" in labels("adjudicator", "wu@example.com")
    assert "乙" not in labels("adjudicator", "wu@example.com")
    fetch(studio, project, taxonomy, out, "all")
    kept = [(r["text"], r["annotator"].split("@")[0], r["labels"]) for r in read_rows(out, taxonomy)]
    assert sorted(kept) == sorted((text, who, said) for text, by in SAID.items() for who, said in by.items())
    with pytest.raises(LabelStudioError, match=r"zhao@example.com is none of the server's users: admin@example.com, "):
        fetch(studio, project, taxonomy, out, "adjudicator", "zhao@example.com")
    with pytest.raises(
        LabelStudioError, match="--merge adjudicator needs --adjudicator, one of the server's users: admin"
    ):
        fetch(studio, project, taxonomy, out, "adjudicator")


def test_agreement_is_told_for_every_pair_with_the_items_disagreed_on(
    studio: Studio,
    project: Project,
    taxonomy: Taxonomy,
    taxonomy_file: Path,
    colleagues: dict[str, Any],
    run: Run,
    tmp_path: Path,
) -> None:
    common = ("--project", project.id, "--labels", taxonomy_file)
    code, _, error = run("agreement", *common)
    assert (code, error) == (2, "no item has answers of two annotators yet; agreement needs some that both read\n")
    answers(studio, project, taxonomy, colleagues, SAID)
    code, out, error = run("agreement", *common, "-o", tmp_path / "d.jsonl", "--json", tmp_path / "a.json")
    assert code == 0
    assert "3 annotators, 5 items read by two or more, 3 disagreed on" in out
    assert f"3 items disagreed on; written to {tmp_path / 'd.jsonl'}" in error
    figures = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    pair = figures["themes"]["roads"]["pairs"][0]
    # admin and li: roads yes/yes, yes/no, and three times no/no; 4 of 5 agree, p_e = .4·.2 + .6·.8 = .56.
    assert pair["annotators"] == ["admin@example.com", "li@example.com"]
    assert pair["kappa"] == pytest.approx((0.8 - 0.56) / (1 - 0.56))
    differing = {r["text"]: r["annotations"] for r in read_rows(tmp_path / "d.jsonl")}
    assert differing["乙"] == {"admin@example.com": ["roads"], "li@example.com": ["water"]}
    assert set(differing) == {"甲", "乙", "己"}


def test_cancelled_drafts_unknown_and_contradicting_answers_are_told_apart(
    studio: Studio, project: Project, taxonomy: Taxonomy, taxonomy_file: Path, run: Run, tmp_path: Path
) -> None:
    texts = ["好", "跳过", "草稿", "陌生", "矛盾", "空", "未标", "评论"]
    send(studio, project, [{"plan": "p", "number": "", "path": [], "text": t, "units": ""} for t in texts])
    at = {text: task.id for text, task in studio.tasks(project).items()}
    client = studio.client
    client.projects.import_tasks(
        project.id,
        request=[{"data": dict.fromkeys(["text", "title", "path", "number", "units", "before", "after"], "别处来的")}],
    )
    annotate(client, at["好"], ["roads"], taxonomy)
    annotate(client, at["评论"], [], taxonomy, comment="拿不准")
    annotate(client, at["跳过"], ["roads"], taxonomy, was_cancelled=True)
    client.annotations.create(id=at["空"], result=[])
    for text, choices in (("陌生", ["bridges", "roads"]), ("矛盾", ["none", "roads"])):
        result = choice_result([], taxonomy) | {"value": {"choices": choices}}
        client.annotations.create(id=at[text], result=[result])
    client._client_wrapper.httpx_client.request(
        f"api/tasks/{at['草稿']}/drafts", method="POST", json={"result": [choice_result(["roads"], taxonomy)]}
    )
    code, _, error = run("pull", "-o", tmp_path / "l.jsonl", "--project", project.id, "--labels", taxonomy_file)
    assert code == 1
    assert error.splitlines() == [
        f"task {at['陌生']}: admin@example.com: unknown choice bridges (the taxonomy has roads, water, schools); left out",
        f"task {at['矛盾']}: admin@example.com: `none` together with roads; left out",
        f"2 rows of 2 annotated items, 2 not annotated, 2 left out, 1 skipped, 1 drafts, 1 tasks that were not pushed by yaodian; written to {tmp_path / 'l.jsonl'}",
    ]  # fmt: skip
    rows = {r["text"]: r for r in read_rows(tmp_path / "l.jsonl", taxonomy)}
    assert {text: r["labels"] for text, r in rows.items()} == {"好": ["roads"], "评论": []}
    assert rows["评论"]["comments"] == {"admin@example.com": "拿不准"}


@pytest.mark.skipif(not shutil.which("chromium"), reason="needs chromium, such as Debian's package of this name")
def test_what_is_ticked_in_a_browser_is_pulled(
    studio: Studio, project: Project, taxonomy: Taxonomy, bundle: Path, tmp_path: Path
) -> None:
    rows: list[Row] = [
        {"plan": "p", "title": "甲县要点", "number": f"{n}.", "path": ["一、建设"], "text": text, "units": "(交通局)"}
        for n, text in enumerate(["修路", "治河", "办事"], 1)
    ]
    send(studio, project, rows, Tagger.load(bundle))
    seen = studio.browse(project, studio.tasks(project)["治河"].id, tmp_path / "task.png", "学校 Schools")
    assert seen["status"] == 201
    assert ["水务 Water" in text for text in seen["ticked"]] == [True]
    for shown in (
        "甲县要点",
        "一、建设",
        "1. 修路",
        "2.",
        "治河",
        "(交通局)",
        "3. 办事",
        "道路 Roads",
        "以上都不是 None of these",
    ):
        assert shown in seen["seen"]
    fetch(studio, project, taxonomy, tmp_path / "l.jsonl")
    assert read_rows(tmp_path / "l.jsonl", taxonomy) == [rows[1] | {"labels": ["water", "schools"]}]
    assert (tmp_path / "task.png").stat().st_size > 10_000


# ── suspects and next ─────────────────────────────────────────────────────────────────────────────────────────────────


def marked(studio: Studio, project: Project, name: str) -> dict[str, tuple[int, str]]:
    """Rank and reason of the marked items, by text."""
    found = {t.data["text"]: t.data for t in tasks_of(studio.server, project, "id,data")}
    return {text: (data[name], data[f"{name}_why"]) for text, data in found.items() if name in data}


def shown(studio: Studio, project: Project, title: str) -> list[str]:
    """Texts of the items in a view, in its order; there is one view of this title."""
    (view,) = [v for v in studio.client.views.list(project=project.id) if v.data["title"] == title]
    return [t.data["text"] for t in studio.client.tasks.list(view=view.id, fields="all")]


def test_suspects_are_marked_and_shown_in_a_view_until_the_next_call(
    studio: Studio, project: Project, taxonomy: Taxonomy, colleagues: dict[str, Any], run: Run, tmp_path: Path
) -> None:
    texts = ["修路", "治河", "办学", "开会"]
    rows = [{"plan": "p", "number": "", "path": [], "text": text, "units": ""} for text in texts]
    send(studio, project, rows)
    at = {text: task.id for text, task in studio.tasks(project).items()}
    for text, labels in zip(texts, (["roads"], [], ["roads"], []), strict=True):
        annotate(studio.client, at[text], labels, taxonomy)
    annotate(colleagues["li"], at["办学"], ["schools"], taxonomy)
    folder = make_bundle(tmp_path / "run", taxonomy)
    scores = {"修路": [0.9, 0.1, 0.1], "治河": [0.1, 0.8, 0.1], "办学": [0.1, 0.2, 0.99]}
    lines = [{"plan": "p", "at": n, "item": content_id(row), "scores": dict(zip(taxonomy.keys, scores[row["text"]], strict=True))}
             for n, row in enumerate(rows) if row["text"] in scores]  # fmt: skip
    (folder / OUT_OF_FOLD).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    common = ("--model", folder, "--project", project.id)
    for _ in range(2):
        code, out, error = run("suspects", *common, "-o", tmp_path / "s.jsonl")
        assert (code, error.split("; the view")[0]) == (
            0,
            f"3 suspects among 3 annotated items that {folder} was trained on, 1 others were not looked at",
        )
        # 办学: the first annotator lacks schools (.99) and has roads (.1); 治河 lacks water (.8).
        assert marked(studio, project, "suspect") == {
            "办学": (1, "-schools 0.990 +roads 0.100"),
            "治河": (3, "-water 0.800"),
        }
        assert shown(studio, project, SUSPECT.title) == ["办学", "治河"]
    assert "-schools" in out
    assert "admin@example.com" in out
    told = read_rows(tmp_path / "s.jsonl")
    assert [(r["text"], r["suspect"]["annotators"], r["suspect"]["tasks"]) for r in told][1:] == [
        ("办学", ["admin@example.com"], [at["办学"]]),
        ("治河", ["admin@example.com"], [at["治河"]]),
    ]
    assert {v.data["title"] for v in studio.client.views.list(project=project.id)} == {"Default", SUSPECT.title}
    assert run("suspects", *common, "--limit", 1)[0] == 0
    assert marked(studio, project, "suspect") == {"办学": (1, "-schools 0.990")}
    fetch(studio, project, taxonomy, tmp_path / "l.jsonl", "all")
    assert "suspect" not in (tmp_path / "l.jsonl").read_text(encoding="utf-8")


def test_what_comes_next_stands_in_a_view_that_empties_as_it_is_labelled(
    studio: Studio, project: Project, taxonomy: Taxonomy, bundle: Path, run: Run, tmp_path: Path
) -> None:
    rows = [{k: v for k, v in row.items() if k != "labels"} for row in invented_rows(3, 8)]
    repeat = rows[0] | {"number": "99.", "text": rows[0]["text"] + "1"}
    send(studio, project, [*rows[:8], repeat, *rows[8:]])
    at = {text: task.id for text, task in studio.tasks(project).items()}
    annotate(studio.client, at[rows[0]["text"]], ["roads"], taxonomy)
    annotate(studio.client, at[rows[1]["text"]], [], taxonomy, was_cancelled=True)
    common = ("--model", bundle, "--project", project.id)
    for _ in range(2):
        code, _, error = run("next", "-n", 12, *common, "-o", tmp_path / "n.jsonl")
        assert code == 0
        assert error.startswith("12 of 23 unlabelled items (")
        assert f"; the view “{NEXT.title}” shows them: {studio.url}/projects/{project.id}/data" in error
    chosen = [row["text"] for row in read_rows(tmp_path / "n.jsonl")]
    assert len(set(chosen)) == 12
    assert not {repeat["text"], rows[0]["text"], rows[1]["text"]} & set(chosen)
    assert {text: rank for text, (rank, _) in marked(studio, project, "next").items()} == {
        text: rank for rank, text in enumerate(chosen, 1)
    }
    assert shown(studio, project, NEXT.title) == chosen  # 10 after 9, not after 1
    annotate(studio.client, at[chosen[0]], ["water"], taxonomy)
    assert shown(studio, project, NEXT.title) == chosen[1:]
    assert run("next", "-n", 3, *common, "--strategy", "uncertain")[0] == 0
    assert sorted(marked(studio, project, "next").values()) == [(1, ""), (2, ""), (3, "")]
    assert len(shown(studio, project, NEXT.title)) == 3
    assert send(studio, project, rows).n_new == 0


def test_a_task_deleted_while_marks_are_made_is_passed_over(
    studio: Studio, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(studio, project, [{"plan": "p", "number": "", "path": [], "text": t, "units": ""} for t in ("甲", "乙")])
    at = {text: task.id for text, task in studio.tasks(project).items()}
    listed = marks._changes(studio.server, project, NEXT, {at["甲"]: (1, ""), at["乙"]: (2, "")})
    monkeypatch.setattr(marks, "_changes", lambda *_: listed)
    studio.client.tasks.delete(at["甲"])
    marks.mark(studio.server, project, NEXT, {}, lambda *_: None)
    assert marked(studio, project, "next") == {"乙": (2, "")}
    assert shown(studio, project, NEXT.title) == ["乙"]


# ── The ML backend ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_backend_predicts_counts_and_retrains_as_the_server_says(
    studio: Studio, project: Project, taxonomy: Taxonomy, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABEL_STUDIO_URL", studio.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", studio.refresh)
    send(studio, project, invented_rows(2, 60))
    other = another_bundle(bundle, tmp_path / "other")
    backend = Backend(bundle, tmp_path / "runs", train=fake_training(tmp_path, other))
    old, new = (Tagger.load(b).bundle.version for b in (bundle, other))
    try:
        connected = studio.client.ml.create(project=project.id, url=backend.url, title="yaodian")
        retrieve(studio, project)
        assert sum(1 for _ in tasks_of(studio.server, project, "id", old)) == 120
        task = next(iter(studio.client.tasks.list(project=project.id, page_size=1)))
        annotate(studio.client, task.id, ["water"], taxonomy)
        assert eventually(lambda: backend.get("/health")["annotations"] == 1)
        studio.client.ml.train(connected.id)
        assert eventually(lambda: backend.get("/versions")["versions"] == [new, old])
        (pulled,) = (tmp_path / "runs").glob("*.jsonl")
        assert [row["labels"] for row in read_rows(pulled, taxonomy)] == [["water"]]
        retrieve(studio, project)
        assert sum(1 for _ in tasks_of(studio.server, project, "id", new)) == 120
        assert send(studio, project, invented_rows(2, 60), Tagger.load(other)) == Pushed(120, 0, 0)
    finally:
        backend.close()


def retrieve(studio: Studio, project: Project) -> None:
    """Data manager, Retrieve Predictions, for all tasks in one call."""
    everything: dict[str, Any] = {"all": True, "excluded": []}
    studio.client.actions.create(
        id="retrieve_tasks_predictions", project=project.id, selected_items=everything,
        request_options={"timeout_in_seconds": 200},  # the server stores each prediction by itself, 0.1 s apiece
    )  # fmt: skip


def eventually(holds: Callable[[], bool]) -> bool:
    until = time.monotonic() + 60
    while not holds() and time.monotonic() < until:
        time.sleep(0.1)
    return holds()


# ── What goes wrong ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_wrong_token_and_a_deleted_project_are_one_line(
    studio: Studio, project: Project, taxonomy_file: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "l.jsonl"
    studio.client.projects.delete(project.id)
    code, _, error = run("pull", "-o", out, "--project", project.id)
    assert code == 2
    assert error.startswith(f"{studio.url}: not found while reading project {project.id} (No Project matches")
    code, _, error = run("pull", "-o", out, "--project", "没有")
    assert (code, error) == (2, f"{studio.url}: no project is called 没有; make it with `yaodian label init`\n")
    wrong = secrets.token_hex(20)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", wrong)
    code, _, error = run("pull", "-o", out)
    assert code == 2
    assert error.startswith(f"{studio.url}: refuses the token (")
    assert error.endswith("; make one under Account & Settings and put it in LABEL_STUDIO_API_KEY\n")
    assert wrong not in error
    assert not list(tmp_path.iterdir())


def test_both_kinds_of_token_and_a_token_file_open_the_door(
    studio: Studio,
    project: Project,
    taxonomy: Taxonomy,
    taxonomy_file: Path,
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arguments = ("pull", "-o", tmp_path / "l.jsonl", "--project", project.id, "--labels", taxonomy_file)
    send(studio, project, [{"plan": "p", "number": "", "path": [], "text": "修路", "units": ""}])
    annotate(studio.client, studio.tasks(project)["修路"].id, ["roads"], taxonomy)
    for token in (studio.token, studio.refresh):
        monkeypatch.setenv("LABEL_STUDIO_API_KEY", token)
        assert run(*arguments)[0] == 0
    monkeypatch.delenv("LABEL_STUDIO_API_KEY")
    assert run(*arguments, "--token-file", studio.folder / "token")[0] == 0


def test_an_interface_that_somebody_edited_is_noticed_and_restored(
    studio: Studio, project: Project, taxonomy: Taxonomy, taxonomy_file: Path, bundle: Path, run: Run, tmp_path: Path
) -> None:
    rows = tmp_path / "r.jsonl"
    write_rows(rows, invented_rows(1, 2))
    common = ("--project", project.id)
    for edited, says in (
        (project.interface.replace('"themes"', '"topics"'), "the interface of project {0} has no multiple choices `themes` for `item`; somebody edited it"),
        (project.interface.replace('choice="multiple"', 'choice="single"'), "the interface of project {0} has no multiple choices `themes`"),
        (project.interface.replace('value="water" alias="water"', 'value="wet" alias="wet"'), "project {0}: its interface lacks water and adds wet; give what has its themes"),
    ):  # fmt: skip
        studio.client.projects.update(project.id, label_config=edited)
        code, _, error = run("push", rows, "--model", bundle, *common)
        assert code == 2
        assert error.count("\n") == 1
        assert says.format(project.id) in error
        assert run("init", *common, "--labels", taxonomy_file)[0] == 0
    assert run("push", rows, "--model", bundle, *common)[0] == 0


def test_init_drops_no_theme_that_answers_use(
    studio: Studio, project: Project, taxonomy: Taxonomy, taxonomy_file: Path, run: Run, tmp_path: Path
) -> None:
    send(studio, project, [{"plan": "p", "number": "", "path": [], "text": t, "units": ""} for t in ("修路", "治河")])
    for text, task in studio.tasks(project).items():
        annotate(studio.client, task.id, ["roads"] if text == "修路" else ["roads", "water"], taxonomy)
    themes = yaml.safe_load(taxonomy_file.read_text(encoding="utf-8"))
    for kept, used in (("schools", "roads (2), water (1)"), ("roads", "water (1)")):
        fewer = tmp_path / "fewer.yaml"
        fewer.write_text(yaml.safe_dump(themes | {"themes": [t for t in themes["themes"] if t["key"] == kept]}))
        code, _, error = run("init", "--project", project.id, "--labels", fewer)
        assert (code, error) == (
            2,
            f"project {project.id}: answers use themes that the taxonomy does not have: {used}; give the one that has them, --labels FILE, or make another project\n",
        )
    fewer.write_text(yaml.safe_dump(themes | {"themes": [t for t in themes["themes"] if t["key"] != "schools"]}))
    assert run("init", "--project", project.id, "--labels", fewer)[0] == 0
    code, _, error = run("pull", "-o", tmp_path / "l.jsonl", "--project", project.id, "--labels", fewer)
    assert (code, len(read_rows(tmp_path / "l.jsonl"))) == (0, 2)


def test_a_plan_pushed_under_the_name_of_another_is_told(
    studio: Studio, project: Project, run: Run, tmp_path: Path
) -> None:
    for county in "甲乙":
        (tmp_path / county).mkdir()
        (tmp_path / county / "要点.txt").write_text(f"{county}县2025年工作要点\n\n1.修路架桥。\n", encoding="utf-8")
        code, _, error = run("push", tmp_path / county / "要点.txt", "--no-prelabels", "--project", project.id)
        assert code == 0
        said = "要点.txt: the project held a plan of this name, 甲县2025年工作要点; items of both with the same words are one task. "
        assert error.startswith(f"{said}Push the folder above, whose files have longer names\n") is (county == "乙")


def test_a_pull_without_an_answer_leaves_the_file_of_an_earlier_one(
    studio: Studio, project: Project, taxonomy_file: Path, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "l.jsonl").write_text("what was there")
    send(studio, project, [{"plan": "p", "number": "", "path": [], "text": "修路", "units": ""}])
    assert run("pull", "-o", tmp_path / "l.jsonl", "--project", project.id, "--labels", taxonomy_file) == (
        2, "", f"0 rows of 0 annotated items, 1 not annotated; {tmp_path / 'l.jsonl'} was not written\n"
    )  # fmt: skip
    assert (tmp_path / "l.jsonl").read_text() == "what was there"


@pytest.mark.slow(reason="kills processes")
def test_a_push_killed_at_any_moment_ends_as_one_clean_run(
    studio: Studio, project: Project, bundle: Path, tmp_path: Path
) -> None:
    rows = invented_rows(30, 40)
    write_rows(tmp_path / "r.jsonl", rows)
    arguments = ["push", str(tmp_path / "r.jsonl"), "--model", str(bundle), "--project", str(project.id)]
    found = list[int]()  # tasks after each kill
    while _killed(studio, arguments, 0.5 + 0.25 * len(found)):  # later and later, until it ends before
        found.append(sum(1 for _ in tasks_of(studio.server, project, "id")))
    assert any(0 < n < 1200 for n in found), found
    time.sleep(2)  # a server that still writes what a dead client sent
    done = _command(studio, arguments)
    assert done.returncode == 0, done.stderr
    assert "project" in done.stderr
    items = [t.data["item"] for t in tasks_of(studio.server, project, "id,data")]
    assert len(items) == len(set(items)) == 1200
    tagger = Tagger.load(bundle)
    assert sum(1 for _ in tasks_of(studio.server, project, "id", tagger.bundle.version)) == 1200


@pytest.mark.slow(reason="kills processes")
def test_a_pull_killed_at_any_moment_leaves_the_old_file_or_the_whole_new_one(
    studio: Studio, project: Project, taxonomy: Taxonomy, taxonomy_file: Path, tmp_path: Path
) -> None:
    rows = invented_rows(10, 60)
    send(studio, project, rows)
    at = {t.data["item"]: t.id for t in tasks_of(studio.server, project, "id,data")}
    data = [{"data": t.data, "annotations": [{"result": [choice_result(json.loads(t.data["row"])["labels"], taxonomy)]}]}
            for t in tasks_of(studio.server, project, "id,data")]  # fmt: skip
    for task in at.values():
        studio.client.tasks.delete(task)
    studio.client.projects.import_tasks(project.id, request=data)
    out = tmp_path / "l.jsonl"
    out.write_text("old")
    arguments = ["pull", "-o", str(out), "--project", str(project.id), "--labels", str(taxonomy_file)]
    for n in range(10):
        _killed(studio, arguments, 0.5 + 0.35 * n)
        assert out.read_text(encoding="utf-8") == "old" or read_rows(out) == rows
    assert _command(studio, arguments).returncode == 0
    assert read_rows(out, taxonomy, annotated=True) == rows


def _environment(studio: Studio) -> dict[str, str]:
    return os.environ | {
        "PYTHONPATH": str(ROOT),
        "LABEL_STUDIO_URL": studio.url,
        "LABEL_STUDIO_API_KEY": studio.refresh,
    }


def _command(studio: Studio, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "train.cli", "label", *arguments]
    return subprocess.run(line, env=_environment(studio), capture_output=True, text=True, timeout=200)


def _killed(studio: Studio, arguments: list[str], seconds: float) -> bool:
    """Runs a command and kills it after a while, give or take an eighth of a second; whether it still ran."""
    line = [sys.executable, "-m", "train.cli", "label", *arguments]
    with subprocess.Popen(line, env=_environment(studio), stderr=subprocess.DEVNULL) as process:
        try:
            process.wait(seconds + random.random() / 4 - 0.125)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            return True
        return False
