"""For any outline and any text: printed and read again it is the same; nothing crashes, nothing is lost, nothing crawls."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from train.plans.lines import Line
from train.plans.numbering import read_marker
from train.plans.outline import build, confirm
from train.plans.plan import ROLES, Item, Plan, outline_text, read_plan
from train.plans.repair import repair

FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
CN = ["一", "二", "三", "四", "五", "六", "七", "八", "九"]
# Numbering system → the n-th number as printed, and what stands behind it.
SYSTEMS = {
    "cn_dot": (CN, "、"), "cn_paren": ([f"（{n}）" for n in CN], ""), "num": ([str(n) for n in range(1, 10)], "."),
    "num_paren": ([f"({n})" for n in range(1, 10)], ""), "num_half": ([f"{n}）" for n in range(1, 10)], ""),
    "circled": (list("①②③④⑤⑥⑦⑧⑨"), ""), "one_is": ([f"{n}是" for n in CN], ""),
}  # fmt: skip
CHAPTERS = {"part": ([f"第{n}部分" for n in CN], " "), "chapter": ([f"第{n}章" for n in CN], " ")}
# Characters that open no number and end no sentence, so that a heading is title-like and an item a sentence.
WORDS = st.text("推进深化健康服务医改疫苗接种档案监测培训基层能力建设队伍网络", min_size=2, max_size=12)
SENTENCES = st.builds(
    lambda head, words, figure: head + "，".join(words) + figure + "。",
    st.sampled_from(["", "", "65岁以上", "24小时", "3月底前", "1.5万人", "“互联网+”", "(试行)"]),
    st.lists(WORDS, min_size=1, max_size=6),
    st.sampled_from(["", "95%以上", "12个", "（试行）", "65岁以上"]),
)
UNITS = st.sampled_from(
    ["", "", "（责任单位：甲科）", "(牵头单位:甲科;责任单位:各医院(含民营))", "（牵头：甲科）（完成时限：6月）"]
)
Row = tuple[str, list[str], str, str]


@st.composite
def outlines(draw: st.DrawFn) -> list[Row]:
    """Rows of an outline: one system per level, headings above, sentences at the bottom, counted per section or through."""
    depth = draw(st.integers(1, 4))
    top = draw(st.sampled_from([*CHAPTERS, *SYSTEMS])) if depth > 1 else draw(st.sampled_from(list(SYSTEMS)))
    lower = draw(st.permutations([name for name in SYSTEMS if name != top]))
    levels = [(CHAPTERS | SYSTEMS)[name] for name in [top, *lower[: depth - 1]]]
    rows: list[Row] = []

    def grow(level: int, path: list[str]) -> None:
        numbers, separator = levels[level]
        for number in numbers[: draw(st.integers(1, 3))]:
            if level == depth - 1:
                rows.append((number, path, draw(SENTENCES), draw(UNITS)))
            else:
                grow(level + 1, [*path, number + separator + draw(WORDS)])

    grow(0, [])
    return rows


def as_rows(plan: Plan) -> list[Row]:
    return [(i.number, i.path, i.text, i.units) for i in plan.items]


def read(text: str) -> Plan:
    return read_plan([Line(line) for line in text.split("\n")])


@FEW
@given(outlines(), st.sampled_from([None, "云泽县2024年卫生健康工作要点"]))
def test_an_outline_that_is_printed_and_read_again_is_the_same(rows: list[Row], title: str | None) -> None:
    plan = read(outline_text(title, rows))
    assert as_rows(plan) == rows
    assert plan.title == title
    assert {role for _, role in plan.lines} <= {"item", "heading", "title"}


@FEW
@given(outlines())
def test_a_plan_prints_to_a_text_that_reads_to_the_same_plan(rows: list[Row]) -> None:
    plan = read(outline_text("云泽县2024年卫生健康工作要点", rows))
    assert read(plan.to_text()).items == plan.items


# ── Any text at all ───────────────────────────────────────────────────────────────────────────────────────────────────

PIECES = st.sampled_from(
    ["一、", "（一）", "1.", "2", "3.6", "1.1", "①", "一是", "第一章", "任务一：", "目录", "附件1", "扫一扫", "- 3 -", "???", "（责任单位：甲科）",
     "责任单位：甲科", "。", "，", "推进改革", "总体要求", "2024年工作要点", "衛(wèi)", "\u3000", "\ufeff", "\x00", "\x0b", "\x85", "\ud800", "\ue000",
     "65岁以上老年人健康管理。", "公共卫生", "......5", "云泽县卫生健康局", "²", "٣.", "\u202e", "𠀀"]
)  # fmt: skip
ANY_LINE = st.one_of(
    st.lists(PIECES, max_size=6).map("".join),
    st.text(st.characters(codec=None), max_size=30),
    st.text(st.characters(categories=["Cs", "Cc", "Cf", "Nd", "No", "Zs", "Ps", "Pe", "Lo"]), max_size=30),
)
ANY_LINES = st.lists(st.builds(Line, ANY_LINE, st.sampled_from([0, 0, 0, 1, 2, 6])), max_size=25)


def bare(text: str) -> str:
    """Without what printing may change: white space, and the stops beside a bracket of units."""
    return re.sub(r"[\s。.;；]", "", text)


def held(item: Item) -> str:
    return bare(item.number + item.text + item.units)


@settings(FEW, max_examples=300)
@given(ANY_LINES)
def test_every_line_of_any_text_has_a_role_and_no_text_is_lost(lines: list[Line]) -> None:
    plan = read_plan(lines)
    texts = [text for text in repair([line.text for line in lines if line.text.strip()])[0] if text.strip()]
    assert [text for text, _ in plan.lines] == texts
    assert {role for _, role in plan.lines} <= set(ROLES)
    everything = "".join(held(item) for item in plan.items)
    left = everything
    for text, role in plan.lines:
        if role == "item":
            marker = read_marker(text)
            # A number that the count did not bear out is text; one that it did stands in `number` without its dot.
            options = [text, *([marker.printed + text[len(marker.mark) :]] if marker else [])]
            # Read as `3.6` by itself, the count may say point 3.
            options.append(re.sub(r"^(\s*\d+)\s*[,，。:：;；·]", r"\1", text))
            found = next((o for o in map(bare, options) if left.startswith(o)), None)
            assert found is not None, (text, left)
            left = left[len(found) :]
    assert not left
    for item in plan.items:
        assert item.text.strip()
        assert all(heading.strip() for heading in item.path)
    headings = bare("".join(text for text, role in plan.lines if role == "heading"))
    assert all(
        re.sub(r"\W", "", heading) in re.sub(r"\W", "", headings) for item in plan.items for heading in item.path
    )


@FEW
@given(ANY_LINES)
def test_the_tree_holds_every_line_of_the_body(lines: list[Line]) -> None:
    texts = [line.text for line in lines]
    markers = confirm(texts, [read_marker(text) for text in texts])
    seen: list[int] = []

    def walk(node: object) -> None:
        seen.append(node.at)  # type: ignore[attr-defined]
        seen.extend(at for at, _ in node.paragraphs)  # type: ignore[attr-defined]
        for child in node.children:  # type: ignore[attr-defined]
            walk(child)

    walk(build(texts, markers, [line.heading for line in lines], 0, len(texts)))
    skipped = set(range(-1, len(texts))) - set(seen)
    assert len(seen) == len(set(seen))
    assert all(re.fullmatch(r"[\s\-—–·第页/共,，\d]+", texts[at]) for at in skipped)


# ── Time ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

SENTENCE = "推进医共体建设，县域就诊率达到九成。"
MANY = 20_000
LONG_DOCUMENTS = {
    "items": [f"{i % 9 + 1}.{SENTENCE}（责任单位：医改科）" for i in range(MANY)],
    "lost dots that never count up": [f"12{SENTENCE}"] * MANY,
    "lost dots that do": [f"{i % 900 + 1}{SENTENCE}" for i in range(MANY)],
    "figures behind dots": [f"3.{i % 99 + 1}岁以上老人" for i in range(MANY)],
    "furniture": ["一、改革", *["扫一扫"] * MANY],
    "furniture between items": ["一、改革", "（一）推进。", *["扫一扫", "（一）推进。"] * (MANY // 2), "（二）完善。"],
    "titles": ["一、改革", *["云泽县2024年卫生健康工作要点"] * MANY],
    "paragraphs": ["云泽县2024年卫生健康工作要点", *[SENTENCE] * MANY],
    "bare headings": ["一、改革", *["公共卫生", SENTENCE] * (MANY // 2)],
    "page numbers": ["一、改革", *["- 3 -"] * MANY],
    "only numbers": ["一、", "（一）", "1.", "①"] * (MANY // 4),
    "contents": ["目录", *["一、改革....3"] * MANY],
    "units on their own lines": ["一、改革", *["（责任单位：医改科）"] * MANY],
}


@pytest.mark.parametrize("name", LONG_DOCUMENTS)
def test_twenty_thousand_lines_are_read_in_seconds(name: str) -> None:
    begin = time.process_time()
    plan = read_plan([Line(text) for text in LONG_DOCUMENTS[name]])
    assert len(plan.lines) == len(LONG_DOCUMENTS[name])
    assert time.process_time() - begin < 10  # about 0.5 s; a step that grows with the square takes minutes


LONG_LINES = {
    "dots": "." * 200_000 + "x", "dots and spaces": ". " * 100_000 + "x", "spaces": "1." + " " * 200_000 + "x",
    "a dash and spaces": "-" + " " * 200_000 + "x", "toned letters": "ā" * 200_000, "question marks": "卫" + "?" * 200_000 + "x",
    "labels": "好。责任单位:" * 25_000, "brackets in a row": "好。" + "(责任单位:医)" * 25_000, "open brackets": "(" * 200_000,
    "closed brackets": ")" * 200_000, "offices": "好。(" + "局、" * 60_000 + ")", "a field": "名称:a" + " " * 200_000 + "x",
    "Chinese numerals": "一" * 200_000, "an unfinished article": "第" + " " * 200_000 + "条", "debris": "卫(wèi)" * 40_000,
    "an open reading": "卫(" + " " * 200_000, "text decoded twice": "Ã¥Â¤Â§" * 20_000,
}  # fmt: skip


@pytest.mark.parametrize("name", LONG_LINES)
def test_a_line_of_two_hundred_thousand_characters_is_read_in_seconds(name: str) -> None:
    line = LONG_LINES[name]
    begin = time.process_time()
    plan = read_plan([Line(line), Line("一、改革"), Line("1." + line)])
    assert len(plan.lines) == 3
    assert time.process_time() - begin < 10  # at most 1 s
