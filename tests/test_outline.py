"""What is a heading, what an item, and what stands below what. Every plan here is invented."""

import pytest

from train.plans.lines import Line
from train.plans.numbering import read_marker
from train.plans.outline import confirm
from train.plans.plan import Item, read_plan

TITLE = "云泽县2024年卫生健康工作要点"


def items(*lines: str, hints: dict[str, int] | None = None) -> list[Item]:
    return read_plan([Line(text, (hints or {}).get(text, 0)) for text in (TITLE, *lines)]).items


def rows(*lines: str, hints: dict[str, int] | None = None) -> list[tuple[str, list[str], str]]:
    return [(i.number, i.path, i.text) for i in items(*lines, hints=hints)]


# ── Numbering systems ─────────────────────────────────────────────────────────────────────────────────────────────────

SYSTEMS = [
    ("一、", "二、"), ("一.", "二."), ("（一）", "（二）"), ("(一)", "(二)"), ("㈠", "㈡"), ("一）", "二）"), ("1.", "2."), ("1、", "2、"),
    ("1 、", "2 、"), ("１．", "２．"), ("⒈", "⒉"), ("（1）", "（2）"), ("⑴", "⑵"), ("1)", "2)"), ("1）", "2）"), ("①", "②"),
    ("第一章 ", "第二章 "), ("第一节 ", "第二节 "), ("第一条 ", "第二条 "), ("第一部分：", "第二部分："), ("一是", "二是"),
    ("任务一：", "任务二："),
]  # fmt: skip


@pytest.mark.parametrize(("first", "second"), SYSTEMS)
def test_each_system_alone_numbers_items(first: str, second: str) -> None:
    found = rows(first + "推进医共体建设。", second + "完善薪酬制度。")
    assert [(path, text) for _, path, text in found] == [([], "推进医共体建设。"), ([], "完善薪酬制度。")]


@pytest.mark.parametrize("inner", [pair for pair in SYSTEMS[2:] if not pair[0].startswith("第")])
@pytest.mark.parametrize("outer", SYSTEMS[:2])
def test_each_system_stands_below_chinese_numerals_and_restarts(outer: tuple[str, str], inner: tuple[str, str]) -> None:
    found = rows(outer[0] + "改革", inner[0] + "推进。", inner[1] + "完善。", outer[1] + "疾控", inner[0] + "监测。")
    paths = [outer[0] + "改革"] * 2 + [outer[1] + "疾控"]
    assert [(path, text) for _, path, text in found] == [
        ([p], t) for p, t in zip(paths, ["推进。", "完善。", "监测。"], strict=True)
    ]


def test_four_systems_in_one_plan_nest_in_the_order_in_which_they_appear() -> None:
    assert rows(
        "一、改革", "（一）医共体", "1.管理", "（1）推进统一管理。", "（2）推进统一采购。", "2.考核", "（1）按季度考核。",
        "（二）薪酬", "1.完善薪酬制度。", "二、疾控", "一是加强监测。", "二是落实接种。",
    ) == [
        ("（1）", ["一、改革", "（一）医共体", "1.管理"], "推进统一管理。"),
        ("（2）", ["一、改革", "（一）医共体", "1.管理"], "推进统一采购。"),
        ("（1）", ["一、改革", "（一）医共体", "2.考核"], "按季度考核。"),
        ("1", ["一、改革", "（二）薪酬"], "完善薪酬制度。"),
        ("一是", ["二、疾控"], "加强监测。"),
        ("二是", ["二、疾控"], "落实接种。"),
    ]  # fmt: skip


def test_another_plan_may_nest_the_same_systems_the_other_way_round() -> None:
    assert rows("1.改革", "（一）推进。", "（二）完善。", "2.疾控", "（一）监测。") == [
        ("（一）", ["1.改革"], "推进。"),
        ("（二）", ["1.改革"], "完善。"),
        ("（一）", ["2.疾控"], "监测。"),
    ]


def test_numbers_may_run_through_all_sections() -> None:
    assert rows(
        "一、改革",
        "1.推进。",
        "2.完善。",
        "二、疾控",
        "（一）监测",
        "3.报告。",
        "（二）接种",
        "4.接种。",
        "三、党建",
        "5.学习。",
    ) == [
        ("1", ["一、改革"], "推进。"),
        ("2", ["一、改革"], "完善。"),
        ("3", ["二、疾控", "（一）监测"], "报告。"),
        ("4", ["二、疾控", "（二）接种"], "接种。"),
        ("5", ["三、党建"], "学习。"),
    ]


def test_decimal_sections_stand_below_their_whole_number() -> None:
    assert rows("1 质量", "1.1 完善制度。", "1.2 开展质控。", "2 护理", "2.1 护理查房。", "2.1.1 每月一次。") == [
        ("1.1", ["1 质量"], "完善制度。"),
        ("1.2", ["1 质量"], "开展质控。"),
        ("2.1.1", ["2 护理", "2.1 护理查房。"], "每月一次。"),
    ]


def test_articles_run_through_chapters_and_sections() -> None:
    assert rows(
        "第一章 任务", "第一节 供给", "第一条 办医。", "第二节 质量", "第二条 质控。", "第二章 附则", "第三条 施行。"
    ) == [
        ("第一条", ["第一章 任务", "第一节 供给"], "办医。"),
        ("第二条", ["第一章 任务", "第二节 质量"], "质控。"),
        ("第三条", ["第二章 附则"], "施行。"),
    ]


# ── Heading or item ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_one_kind_of_number_is_an_item_with_a_text_and_a_heading_with_a_title() -> None:
    text = "推进医共体。" + "落实县乡一体管理，推动资源下沉。" * 30
    assert rows("一、改革", "（一）" + text, "（二）人口服务水平", "1.落实补贴。", "2.建托育园。") == [
        ("（一）", ["一、改革"], text),
        ("1", ["一、改革", "（二）人口服务水平"], "落实补贴。"),
        ("2", ["一、改革", "（二）人口服务水平"], "建托育园。"),
    ]


def test_a_short_title_with_a_full_stop_is_a_heading_where_numbers_stand_below_it() -> None:
    assert rows("（一）强化基层能力。", "1.改造三所。", "（二）强化疾控。", "1.监测。") == [
        ("1", ["（一）强化基层能力。"], "改造三所。"),
        ("1", ["（二）强化疾控。"], "监测。"),
    ]


def test_a_short_title_with_a_full_stop_is_an_item_where_only_paragraphs_stand_below_it() -> None:
    assert rows(
        "一、改革", "1.推进改造。", "完成三所卫生院改造。", "增加床位六十张。", "2.培训医师。", "全年培训二百人次。"
    ) == [
        ("1", ["一、改革"], "推进改造。\n完成三所卫生院改造。\n增加床位六十张。"),
        ("2", ["一、改革"], "培训医师。\n全年培训二百人次。"),
    ]


def test_sub_points_below_an_item_with_a_text_are_items_beside_it() -> None:
    assert rows(
        "一、改革", "（一）健康管理。建立档案三千份。", "1.清理一千份。", "2.新建两千份。", "（二）讲座十二场。"
    ) == [
        ("（一）", ["一、改革"], "健康管理。建立档案三千份。"),
        ("1", ["一、改革"], "清理一千份。"),
        ("2", ["一、改革"], "新建两千份。"),
        ("（二）", ["一、改革"], "讲座十二场。"),
    ]


def test_a_title_above_paragraphs_heads_them() -> None:
    assert rows(
        "一、改革", "（一）医共体建设", "推进统一管理，提升就诊率。", "（二）药品供应", "落实集中采购，降低费用。"
    ) == [
        ("", ["一、改革", "（一）医共体建设"], "推进统一管理，提升就诊率。"),
        ("", ["一、改革", "（二）药品供应"], "落实集中采购，降低费用。"),
    ]


def test_titles_without_anything_below_them_are_the_items_of_a_plan_of_short_phrases() -> None:
    assert rows("一、公共卫生", "（一）建立档案", "（二）开展讲座", "二、医疗", "（一）加强急诊") == [
        ("（一）", ["一、公共卫生"], "建立档案"),
        ("（二）", ["一、公共卫生"], "开展讲座"),
        ("（一）", ["二、医疗"], "加强急诊"),
    ]


def test_a_heading_above_unnumbered_paragraphs_stands_beside_one_above_numbers() -> None:
    assert rows(
        "一、改革", "1.推进。", "二、疾控", "全年督导四次，规范处置。", "持续推进疫苗接种工作。", "三、服务", "1.预约。"
    ) == [
        ("1", ["一、改革"], "推进。"),
        ("", ["二、疾控"], "全年督导四次，规范处置。"),
        ("", ["二、疾控"], "持续推进疫苗接种工作。"),
        ("1", ["三、服务"], "预约。"),
    ]


def test_a_paragraph_between_a_heading_and_its_numbers_is_an_introduction() -> None:
    assert rows("一、公共卫生", "围绕群众需求，做实公共卫生。", "1.建立档案。", "2.开展讲座。") == [
        ("1", ["一、公共卫生"], "建立档案。"),
        ("2", ["一、公共卫生"], "开展讲座。"),
    ]


def test_paragraphs_that_begin_with_firstly_are_items_wherever_they_stand() -> None:
    assert rows(
        "一、公共卫生", "（一）能力提升。一是加强急诊。", "二是配备设备。", "（二）质量控制", "一是质控。", "二是督查。"
    ) == [
        ("（一）", ["一、公共卫生"], "能力提升。一是加强急诊。"),
        ("二是", ["一、公共卫生"], "配备设备。"),
        ("一是", ["一、公共卫生", "（二）质量控制"], "质控。"),
        ("二是", ["一、公共卫生", "（二）质量控制"], "督查。"),
    ]


# ── Numbers that the count confirms or refutes ────────────────────────────────────────────────────────────────────────


def test_a_lost_dot_and_a_figure_behind_the_dot_are_items_where_the_count_says_so() -> None:
    found = rows(
        "一、改革", "1.推进。", "2深化改革。", "3.65岁以上老年人签约。", "4 完善制度。", "5.120指挥系统。", "6，考核。"
    )
    assert [(number, text) for number, _, text in found] == [
        ("1", "推进。"), ("2", "深化改革。"), ("3", "65岁以上老年人签约。"), ("4", "完善制度。"), ("5", "120指挥系统。"), ("6", "考核。"),
    ]  # fmt: skip


def test_a_plan_may_have_lost_all_its_dots() -> None:
    assert [i.number for i in items("1深化改革。", "2完善制度。", "3加强监测。")] == ["1", "2", "3"]


def test_a_point_that_begins_with_a_figure_is_no_decimal_section() -> None:
    found = rows("1.推进。", "2.1型糖尿病患者管理。", "3.3月底前完成。", "4.监测。")
    assert [(number, text) for number, _, text in found] == [
        ("1", "推进。"), ("2", "1型糖尿病患者管理。"), ("3", "3月底前完成。"), ("4", "监测。"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "paragraph",
    ["24小时值守，随时处置突发疫情。", "120急救网络覆盖全部乡镇卫生院。", "二、三级医院对口支援基层，派驻医师。",
     "一、二、三级医院协同发展。", "三要素管理全面落实。", "6、7月份集中开展宣传活动。", "99、随意的数字不是编号。"],
)  # fmt: skip
def test_a_paragraph_that_begins_with_a_figure_is_no_item_of_its_own(paragraph: str) -> None:
    assert rows("一、改革", "1.推进改革。", paragraph, "2.完善制度。", "二、疾控", "3.监测。")[0] == (
        "1", ["一、改革"], f"推进改革。\n{paragraph}",
    )  # fmt: skip


def test_a_missing_number_does_not_lose_those_behind_it() -> None:
    assert [i.number for i in items("1.推进。", "2.完善。", "5.监测。", "6.接种。", "12.学习。", "13.考核。")] == [
        "1", "2", "5", "6", "12", "13",
    ]  # fmt: skip


def test_a_month_behind_a_number_does_not_lose_the_item() -> None:
    found = rows("一、改革", "1、3月底前推进。", "2、6月底前完成。", "二、疾控", "1、5类人群接种。")
    assert [(number, text) for number, _, text in found] == [
        ("1", "3月底前推进。"),
        ("2", "6月底前完成。"),
        ("1", "5类人群接种。"),
    ]


def test_confirm_keeps_as_many_entries_as_there_are_lines() -> None:
    lines = ["1.推进", "无编号", "2深化", "1.5倍"]
    kept = confirm(lines, [read_marker(line) for line in lines])
    assert [m and m.value for m in kept] == [1, None, 2, None]


# ── Headings without a number ─────────────────────────────────────────────────────────────────────────────────────────


def test_bare_lines_above_a_series_head_it_the_first_one_too() -> None:
    assert rows("公共卫生", "1.建立档案。", "2.开展讲座。", "医政管理", "1.推进质控。", "2.开展检查。") == [
        ("1", ["公共卫生"], "建立档案。"),
        ("2", ["公共卫生"], "开展讲座。"),
        ("1", ["医政管理"], "推进质控。"),
        ("2", ["医政管理"], "开展检查。"),
    ]


def test_a_signature_above_the_first_number_is_no_heading() -> None:
    assert rows("云泽县卫生健康局", "1.建立档案。", "2.开展讲座。", "医政管理", "1.推进质控。")[0] == (
        "1",
        [],
        "建立档案。",
    )


@pytest.mark.parametrize(("left", "right"), [("", ""), ("【", "】"), ("**", "**"), ("◆", "")])
def test_a_plan_without_numbers_has_bare_lines_as_headings_and_paragraphs_as_items(left: str, right: str) -> None:
    one, two = f"{left}公共卫生{right}", f"{left}医政管理{right}"
    assert rows(one, "建立档案三千份，定期更新。", "开展讲座十二场，全县覆盖。", two, "推进医院质控，定期检查。") == [
        ("", [one], "建立档案三千份，定期更新。"),
        ("", [one], "开展讲座十二场，全县覆盖。"),
        ("", [two], "推进医院质控，定期检查。"),
    ]


def test_bare_lines_head_paragraphs_inside_a_numbered_section() -> None:
    assert rows(
        "一、改革",
        "推进医改",
        "完善薪酬，提高绩效比重。",
        "加强疾控",
        "改造实验室，提升能力。",
        "二、保障",
        "强化领导",
        "明确专人，按时报送。",
    ) == [
        ("", ["一、改革", "推进医改"], "完善薪酬，提高绩效比重。"),
        ("", ["一、改革", "加强疾控"], "改造实验室，提升能力。"),
        ("", ["二、保障", "强化领导"], "明确专人，按时报送。"),
    ]


def test_heading_styles_of_the_format_nest_by_their_level() -> None:
    hints = {TITLE: 1, "公共卫生": 2, "健康档案": 3, "健康教育": 3, "医政管理": 2}
    assert rows(
        "公共卫生", "健康档案", "建立档案三千份，定期更新。", "健康教育", "讲座。", "医政管理", "1.质控。", hints=hints
    ) == [
        ("", ["公共卫生", "健康档案"], "建立档案三千份，定期更新。"),
        ("", ["公共卫生", "健康教育"], "讲座。"),
        ("1", ["医政管理"], "质控。"),
    ]


def test_sections_without_numbers_above_the_first_number_are_kept_where_the_format_marks_their_headings() -> None:
    hints = {TITLE: 1, "引言": 3, "公共卫生": 2, "医政管理": 2}
    found = rows(
        "引言",
        "全县要稳中求进，建设健康云泽。",
        "公共卫生",
        "建立档案三千份，定期更新。",
        "医政管理",
        "1.质控。",
        hints=hints,
    )
    assert found == [("", ["公共卫生"], "建立档案三千份，定期更新。"), ("1", ["医政管理"], "质控。")]


def test_a_line_that_breaks_off_at_a_comma_is_no_heading() -> None:
    assert rows("1.建立健康档案，", "建档率达到九成以上。", "2.开展讲座。", "覆盖全部村庄群众。")[0] == (
        "1", [], "建立健康档案，\n建档率达到九成以上。",
    )  # fmt: skip


def test_bold_lead_sentences_stay_in_their_paragraphs() -> None:
    lead = "**加强学科建设。**支持两个专科创建重点专科。"
    assert rows("一、能力", lead, "二、健康", "**做实签约。**重点人群签约率八成。")[0] == ("", ["一、能力"], lead)
