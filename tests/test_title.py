import pytest

from train.plans.title import find_issuer, find_title, find_year, is_title


@pytest.mark.parametrize(
    "text",
    ["云泽县2024年卫生健康工作要点", "云泽镇卫生院二〇二四年工作计划", "云泽县中医药服务提升行动方案（2024—2026年）",
     "云泽县卫生健康局关于2024年重点工作落实情况的报告", "标题：云泽县2024年工作要点", "《云泽县2024年工作要点》", "甲县2025年卫生健康工作要点任务分解表", "甲县2025年目标责任书"],
)  # fmt: skip
def test_a_title_is_short_and_ends_in_a_kind_of_document(text: str) -> None:
    assert is_title(text)


@pytest.mark.parametrize(
    "text",
    ["", "要点", "云泽县卫生健康局", "制定工作方案。", "落实改革任务，完善工作方案", "联系人:甲,负责工作计划", "云" * 60 + "工作要点"],
)  # fmt: skip
def test_a_sentence_an_office_and_a_long_line_are_no_titles(text: str) -> None:
    assert not is_title(text)


def test_the_title_is_the_last_line_that_names_place_and_year() -> None:
    lines = [
        "云泽县2024年工作要点",
        "现将《云泽县2024年工作要点》印发",
        "云泽县2024年卫生健康工作要点",
        "工作要点和计划",
    ]
    assert find_title(lines) == ("云泽县2024年卫生健康工作要点", 2)


@pytest.mark.parametrize(
    ("lines", "title"),
    [
        (["云泽县2024年", "卫生健康工作要点"], "云泽县2024年卫生健康工作要点"),
        (["2024年云泽县全面深化改革暨", "高质量发展工作要点", "（征求意见稿）"], "2024年云泽县全面深化改革暨高质量发展工作要点"),
        (["2024年3月1日", "卫生健康工作要点"], "卫生健康工作要点"),
        (["云泽县卫生健康局2024年文件", "卫生健康工作要点"], "卫生健康工作要点"),
        (["云泽县2024年工作总结", "全县卫生健康工作要点"], "云泽县2024年工作总结"),
        (["云泽县2024年", "2024年卫生健康工作要点"], "2024年卫生健康工作要点"),
        (["关于印发云泽县2024年", "卫生健康工作要点的通知", "云泽县2024年工作要点"], "云泽县2024年工作要点"),
    ],
)  # fmt: skip
def test_a_title_may_be_two_lines_of_which_the_first_has_the_year(lines: list[str], title: str) -> None:
    assert find_title(lines)[0] == title


def test_breadcrumbs_and_covering_notices_are_no_title() -> None:
    assert find_title(["首页 > 公开 > 2024年工作计划", "关于印发云泽县2024年工作要点的通知"]) == (None, -1)


def test_without_a_title_line_a_field_or_a_quoted_name_gives_it() -> None:
    assert find_title(["名称: 云泽县2024年卫生健康工作要点 文号: 无"]) == ("云泽县2024年卫生健康工作要点", -1)
    assert find_title(["现将《云泽县2024年工作要点》印发给你们。"]) == ("云泽县2024年工作要点", -1)
    assert find_title([]) == (None, -1)


@pytest.mark.parametrize(
    ("title", "lines", "year"),
    [
        ("云泽县2024年工作要点", [], 2024),
        ("云泽县2024 年度工作要点", [], 2024),
        ("云泽县二〇二三年工作要点", [], 2023),
        ("云泽县二○二三年工作要点", [], 2023),
        ("云泽县中医药行动方案（2024—2026年）", [], 2024),
        ("云泽县工作要点", ["电话：20245678", "2022年3月1日"], 2022),
        ("云泽县工作要点", ["没有年份"], None),
        (None, [], None),
    ],
)
def test_the_year_is_that_of_the_title_else_the_first_one_above_the_plan(
    title: str | None, lines: list[str], year: int | None
) -> None:
    assert find_year(title, lines) == year


def test_the_issuer_is_in_the_title_a_field_or_the_signature() -> None:
    assert find_issuer("云泽县卫生健康局2024年工作要点", [], []) == "云泽县卫生健康局"
    assert find_issuer("2024年工作要点", ["发布机构：云泽县卫健局 | 日期"], []) == "云泽县卫健局"
    assert find_issuer("2024年工作要点", [], ["云泽县卫生健康委员会", "2024年3月1日"]) == "云泽县卫生健康委员会"


def test_no_issuer_is_named_when_the_document_names_none() -> None:
    assert find_issuer("2024年工作要点", ["请各卫生院落实。"], ["2024年3月1日"]) is None


def test_a_long_line_of_spaces_is_passed_over_quickly() -> None:
    assert find_title(["名称:云泽" + " " * 200_000 + "x"]) == ("云泽", -1)
