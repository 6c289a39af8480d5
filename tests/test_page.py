"""The web page: all rows in it, nothing from outside, and no word of a plan ever run."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from chromium import CHROMIUM, browse
from hypothesis import given, settings
from hypothesis import strategies as st

from train.rows import Row
from train.tagging.writers import open_writer
from train.tagging.writers.page import as_script_data
from train.taxonomy import Taxonomy

THEMES = Taxonomy.load()
ATTACKS = [
    "</script><script>document.title='owned'</script>",
    "<!--<script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "\"'><svg/onload=document.title='owned'>",
    "{{script}}{{rows}}{{title}}",
    "javascript:document.title='owned'",
    "\u2028\u2029&lt;b&gt;&amp;\\u003c",
    "]]></style></title></noscript><b>",
]


class Reader(HTMLParser):
    """Elements with attributes, and the text of scripts and styles, as a browser finds them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside: list[tuple[str, dict[str, str | None], str]] = []
        self.words = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.cdata_elem:
            self.inside.append((*self.tags[-1], data))
        else:
            self.words += data

    def data(self, name: str) -> Any:
        return json.loads("".join(text for _, attrs, text in self.inside if attrs.get("id") == f"{name}-data"))


def row(**changes: Any) -> Row:
    base: Row = {
        "plan": "甲.docx",
        "title": "甲市工作要点",
        "year": 2023,
        "issuer": "甲市卫健委",
        "number": "1",
        "path": ["一、医改"],
    }
    return (
        base
        | {"text": "推进改革。", "units": "(医改科)", "labels": ["reform"], "scores": {"reform": 0.91239}}
        | changes
    )


def save(
    path: Path,
    *rows: Row,
    taxonomy: Taxonomy | None = THEMES,
    title: str = "",
    failures: tuple[tuple[str, str], ...] = (),
) -> str:
    with open_writer(path / "a.html", taxonomy, title=title) as writer:
        for each in rows:
            writer.write([each])
        writer.failures += failures
    return (path / "a.html").read_text(encoding="utf-8")


def attacked(text: str) -> Row:
    fields: dict[str, Any] = dict.fromkeys(("plan", "title", "issuer", "number", "text", "units"), text)
    return row(**fields, path=[text], flags=[text], note={text: text}, labels=["reform", text])


# What is in it


def test_the_page_holds_every_row(tmp_path: Path) -> None:
    page = Reader(
        save(tmp_path, row(), row(number="2", labels=[], flags=["�"]), row(plan="乙", labels=None, scores=None))
    )
    scores = [None] * 5 + [0.912]
    assert page.data("row") == [
        {"p": 0, "n": "1", "h": 0, "t": "推进改革。", "u": "(医改科)", "l": ["reform"], "s": scores},
        {"p": 0, "n": "2", "h": 0, "t": "推进改革。", "u": "(医改科)", "l": [], "s": scores, "x": {"flags": ["�"]}},
        {"p": 1, "n": "1", "h": 0, "t": "推进改革。", "u": "(医改科)"},
    ]
    assert page.data("plan") == [
        ["甲.docx", "甲市工作要点", "2023", "甲市卫健委"],
        ["乙", "甲市工作要点", "2023", "甲市卫健委"],
    ]
    assert page.data("path") == [["一、医改"]]
    assert [theme["key"] for theme in page.data("theme")] == THEMES.keys


def test_without_a_taxonomy_the_page_knows_no_themes(tmp_path: Path) -> None:
    page = Reader(save(tmp_path, row(), taxonomy=None))
    assert page.data("theme") == []
    assert page.data("row")[0]["x"] == {"scores": {"reform": 0.91239}}


def test_the_page_has_the_given_title_or_its_own(tmp_path: Path) -> None:
    assert "<title>二〇二三 &lt;b&gt;</title>" in save(tmp_path, title="二〇二三 <b>")
    assert "<title>工作计划条目 Items of work plans</title>" in save(tmp_path)


def test_what_was_not_read_has_a_section_only_if_there_is_something(tmp_path: Path) -> None:
    assert ("section", {"id": "failures", "hidden": None}) in Reader(save(tmp_path, row())).tags
    page = Reader(save(tmp_path, row(), failures=(("扫描<b>.pdf", "没有文字"),)))
    assert ("section", {"id": "failures"}) in page.tags
    assert re.search(r"未读取\s+Not read\s+1\s", page.words)
    assert "扫描<b>.pdf没有文字" in page.words


def test_a_number_that_json_lacks_does_not_break_the_page(tmp_path: Path) -> None:
    page = save(tmp_path, row(weight=float("nan"), scores={"reform": float("nan")}))
    assert '"weight":"NaN"' in page
    assert Reader(page).data("row")[0]["s"] == [None] * 6


# Nothing runs, nothing is fetched


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_text_of_a_plan_becomes_markup(tmp_path: Path, attack: str) -> None:
    calm = Reader(save(tmp_path, row(), title="甲", failures=(("乙", "丙"),)))
    page = Reader(save(tmp_path, attacked(attack), title=attack, failures=((attack, attack),)))
    assert page.tags == calm.tags
    assert page.data("row")[0]["t"] == attack
    assert page.data("plan")[0][0] == attack
    assert attack in page.words


@given(st.text())
@settings(deadline=None)
def test_script_data_reads_back_and_holds_no_character_of_markup(text: str) -> None:
    data = as_script_data([text])
    assert json.loads(data) == [text]
    assert not re.search("[<>&\u2028\u2029]", data)


def test_the_policy_allows_this_script_and_this_style_and_nothing_else(tmp_path: Path) -> None:
    page = Reader(save(tmp_path, attacked(ATTACKS[0])))
    policy = next(attrs["content"] for tag, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    style = "".join(text for tag, _, text in page.inside if tag == "style")
    script = "".join(text for tag, attrs, text in page.inside if tag == "script" and "type" not in attrs)
    digests = [base64.b64encode(hashlib.sha256(part.encode()).digest()).decode() for part in (style, script)]
    allowed = f"style-src 'sha256-{digests[0]}'; script-src 'sha256-{digests[1]}'"
    assert policy == f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'"


def test_the_page_asks_for_nothing_outside_itself(tmp_path: Path) -> None:
    page = save(tmp_path, row())
    assert not re.search(r"https?:|//[a-z]|url\(|@import|\bsrc=|<link|fetch\(|XMLHttpRequest", page)
    assert not [
        attrs for _, attrs in Reader(page).tags if any(name.startswith("on") or name == "style" for name in attrs)
    ]


def test_the_script_keeps_to_what_browsers_of_2018_know(tmp_path: Path) -> None:
    page = Reader(save(tmp_path, row()))
    script = "".join(text for tag, attrs, text in page.inside if tag == "script" and "type" not in attrs)
    script = re.sub(r"/\*.*?\*/", "", script, flags=re.DOTALL)
    assert not re.search(
        r"\?\.[a-z(\[]|\?\?|replaceAll|\.flat\(|\.at\(|replaceChildren|innerHTML|insertAdjacentHTML|\beval\b", script
    )


# In a browser


@pytest.mark.slow(reason="starts a browser")
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_a_browser_draws_the_items_and_runs_nothing_of_theirs(tmp_path: Path) -> None:
    save(
        tmp_path,
        row(),
        row(labels=[]),
        *map(attacked, ATTACKS),
        *(row(number=str(n)) for n in range(200)),
        title=ATTACKS[0],
    )
    drawn = browse(tmp_path / "a.html", tmp_path)
    page = Reader(drawn)
    assert "210 / 210 条 items" in page.words
    assert "1 / 3" in page.words  # pages of a hundred
    assert "推进改革。" in page.words
    assert "无主题 None" in page.words
    assert [attrs for tag, attrs in page.tags if tag == "span" and attrs.get("class") == "chip"]
    assert not {"img", "svg"} & {tag for tag, _ in page.tags}
    assert "<title>owned</title>" not in drawn
    for attack in ATTACKS:
        assert attack in page.words
