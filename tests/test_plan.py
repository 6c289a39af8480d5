"""A document read as a whole: what is cut away, what is kept, what a row shows. Every plan here is invented."""

from pathlib import Path

import pytest

from train.errors import NoText
from train.plans.lines import Line
from train.plans.plan import ROLES, Plan, outline_text, read_plan
from train.plans.repair import Repairs

TITLE = "云泽县2024年卫生健康工作要点"
BODY = [
    "一、公共卫生",
    "1.建立健康档案，建档率九成。",
    "2.开展健康讲座，覆盖全部村庄。",
    "二、医政管理",
    "3.加强急诊能力建设。",
]


def read(*lines: str) -> Plan:
    return read_plan([Line(text) for text in lines], name="plan.txt")


def roles(plan: Plan) -> dict[str, str]:
    return dict(plan.lines)


def numbers(plan: Plan) -> list[str]:
    return [item.number for item in plan.items]


# ── Before the plan ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_chrome_before_and_after_is_cut_away() -> None:
    before = ["首页 > 政务公开 > 规划计划", "索引号：00123 | 发布日期：2024-03-01", "字号：大 中 小", "1 2 3 4"]
    after = ["扫一扫在手机打开当前页", "相关链接", "1.某县新闻", "2.某县通知", "网站地图 | 关于我们", "备案号ICP备0号"]
    plan = read(*before, TITLE, *BODY, *after)
    assert numbers(plan) == ["1", "2", "3"]
    assert [roles(plan)[line] for line in before] == ["before the plan"] * len(before)
    assert [roles(plan)[line] for line in after] == ["after the plan"] * len(after)


def test_a_cover_letter_is_no_part_of_the_plan() -> None:
    letter = ["关于印发工作要点的通知", "各乡镇卫生院：", "现将《云泽县2024年卫生健康工作要点》印发给你们，请认真落实。",
              "云泽县卫生健康局", "2024年3月1日"]  # fmt: skip
    plan = read(*letter, TITLE, "2024年，全县工作要稳中求进，建设健康云泽。", *BODY)
    assert numbers(plan) == ["1", "2", "3"]
    assert {roles(plan)[line] for line in letter} == {"before the plan"}
    assert roles(plan)[TITLE] == "title"
    assert roles(plan)["2024年，全县工作要稳中求进，建设健康云泽。"] == "general demands"


def test_a_cover_letter_with_numbers_is_no_part_of_the_plan_either() -> None:
    letter = ["各乡镇卫生院：", "一、加强领导。各单位要明确专人。", "二、按时报送。每季度末报送。", "云泽县卫生健康局"]
    plan = read(*letter, TITLE, *BODY, "三、党的建设", "4.开展专题学习。")
    assert numbers(plan) == ["1", "2", "3", "4"]
    assert {roles(plan)[line] for line in letter} == {"before the plan"}


def test_an_attached_list_whose_numbers_begin_again_does_not_turn_the_plan_into_a_cover_letter() -> None:
    attached = ["附件2", "云泽县2024年重点任务清单", "一、公共卫生", "1.建立档案"]
    plan = read("各乡镇卫生院：", "附件", TITLE, *BODY, *attached)
    assert numbers(plan) == ["1", "2", "3"]
    assert [role for _, role in plan.lines[-4:]] == ["after the plan"] * 4


@pytest.mark.parametrize("entry", ["{}", "{}........{}", "{}……………{}", "{} . . . . {}"])
def test_a_table_of_contents_is_skipped(entry: str) -> None:
    entries = [entry.format(heading, 3) for heading in ("一、公共卫生", "二、医政管理")]
    plan = read(TITLE, "目  录", *entries, *BODY)
    assert numbers(plan) == ["1", "2", "3"]
    assert [role for _, role in plan.lines[1:4]] == ["contents"] * 3


def test_a_section_of_general_demands_gives_no_items() -> None:
    section = ["一、总体要求", "以人民健康为中心，坚持稳中求进总基调。", "（一）指导思想。坚持以人民健康为中心，服务大局。",
               "（二）基本原则", "1.坚持政府主导。落实投入责任。"]  # fmt: skip
    plan = read(TITLE, *section, "二、主要任务", "（一）建立健康档案。", "（二）开展健康讲座。")
    assert [(i.number, i.path) for i in plan.items] == [("（一）", ["二、主要任务"]), ("（二）", ["二、主要任务"])]
    assert [roles(plan)[line] for line in section] == [
        "heading", "general demands", "general demands", "heading", "general demands",
    ]  # fmt: skip


def test_the_work_ahead_of_a_review_is_part_of_the_plan() -> None:
    plan = read(
        "云泽县2023年工作总结",
        "一、2023年工作",
        "（一）建立档案。",
        "二、2024年工作思路",
        "持续推进医共体建设，提升能力。",
    )
    assert [(i.path, i.text) for i in plan.items] == [
        (["一、2023年工作"], "建立档案。"),
        (["二、2024年工作思路"], "持续推进医共体建设，提升能力。"),
    ]


# ── Behind and inside the plan ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "after",
    [
        ["云泽县卫生健康局", "2024年3月1日"],
        ["附件1", "重点任务清单", "1.建立健康档案", "2.开展讲座"],
        ["附件：1.重点任务清单", "2.联系人名单"],
        ["特此通知。", "（此件公开发布）"],
        ["新的一年，全县将凝心聚力，奋发有为，为建设健康云泽作出贡献！"],
        ["抄送：县政府办公室。", "云泽县卫生健康局办公室 2024年3月1日印发"],
    ],
)
def test_signature_attachments_and_closing_words_are_behind_the_plan(after: list[str]) -> None:
    plan = read(TITLE, *BODY, *after)
    assert numbers(plan) == ["1", "2", "3"]
    assert plan.items[-1].text == "加强急诊能力建设。"
    assert {role for _, role in plan.lines[-len(after) :]} == {"after the plan"}


def test_furniture_in_the_middle_of_a_plan_does_not_end_it() -> None:
    plan = read(TITLE, *BODY[:3], "扫一扫在手机打开当前页", "- 2 -", *BODY[3:])
    assert numbers(plan) == ["1", "2", "3"]
    assert roles(plan)["- 2 -"] == "page number"


def test_a_sentence_that_names_an_app_is_no_footer() -> None:
    text = "推进智慧医疗，通过微信公众号提供预约服务。"
    assert [i.text for i in read(TITLE, "推进医改，完善薪酬制度安排。", text, "加强疾控，完成实验室改造。").items][
        1
    ] == text


def test_a_page_number_does_not_cut_an_item() -> None:
    plan = read(
        TITLE, "1.建立健康档案，", "第 3 页 共 9 页", "建档率达到九成以上。", "2.开展讲座。", "覆盖全部村庄群众。"
    )
    assert [i.text for i in plan.items] == ["建立健康档案，\n建档率达到九成以上。", "开展讲座。\n覆盖全部村庄群众。"]


def test_continuation_paragraphs_belong_to_their_item_the_last_one_too() -> None:
    plan = read(TITLE, "1.推进医改。", "完善薪酬制度。", "2.加强疾控。", "改造实验室一处。", "云泽县卫生健康局")
    assert [i.text for i in plan.items] == ["推进医改。\n完善薪酬制度。", "加强疾控。\n改造实验室一处。"]


def test_a_second_paragraph_of_the_last_item_alone_is_kept_unless_it_closes_the_plan() -> None:
    more = "全年开展讲座五十场，覆盖全部村庄。"
    assert [i.text for i in read(TITLE, "1.推进医改。", "2.加强疾控。", more).items] == [
        "推进医改。",
        f"加强疾控。\n{more}",
    ]
    closing = "各科室要认真抓好落实，按时报送进展。"
    plan = read(TITLE, "1.推进医改。", "2.加强疾控。", more, closing, "联系人名单另行公布，请注意查收。")
    assert plan.items[-1].text == f"加强疾控。\n{more}"
    assert [text for text, role in plan.lines if role == "after the plan"] == [
        closing,
        "联系人名单另行公布，请注意查收。",
    ]


def test_bare_lines_below_the_last_heading_are_items_as_below_the_others() -> None:
    plan = read(
        TITLE, "一、公共卫生", "加强疾控", "做好防治", "二、党的建设", "落实责任制", "开展教育", "云泽县卫生健康局"
    )
    assert [(i.path[0], i.text) for i in plan.items][2:] == [
        ("二、党的建设", "落实责任制"),
        ("二、党的建设", "开展教育"),
    ]
    plan = read(
        TITLE, "1.推进医改", "2.加强疾控", "云泽县卫生健康局", "联系电话公布在网站"
    )  # here the numbers are items
    assert [i.text for i in plan.items] == ["推进医改", "加强疾控"]


def test_a_short_end_of_a_sentence_below_the_last_number_is_not_lost() -> None:
    plan = read(TITLE, "一、医改：推进医改工作。", "二、党建：", "抓好支部。", "云泽县卫生健康局")
    assert [(i.path, i.text) for i in plan.items] == [([], "医改：推进医改工作。"), (["二、党建："], "抓好支部。")]


def test_every_line_has_one_of_the_roles() -> None:
    plan = read("首页", TITLE, "目录", "一、公共卫生...1", *BODY, "- 2 -", "扫一扫")
    assert {role for _, role in plan.lines} <= set(ROLES)
    assert [text for _, _, text in plan.skipped] == ["首页", TITLE, "目录", "一、公共卫生...1", "- 2 -", "扫一扫"]
    assert plan.skipped[0] == (1, "before the plan", "首页")


# ── Units, damage, rows ───────────────────────────────────────────────────────────────────────────────────────────────


def test_units_leave_the_text_inside_the_item_or_on_a_line_of_their_own() -> None:
    plan = read(TITLE, "一、公共卫生", "1.建立档案。（责任单位：公卫科（含疾控））", "2.开展讲座", "责任科室：宣教科",
                "二、医政管理", "加强急诊，配备除颤设备。", "（责任单位：医政科）")  # fmt: skip
    assert [(i.number, i.text, i.units) for i in plan.items] == [
        ("1", "建立档案。", "（责任单位：公卫科（含疾控））"),
        ("2", "开展讲座", "责任科室：宣教科"),
        ("", "加强急诊，配备除颤设备。", "（责任单位：医政科）"),
    ]


def test_a_traditional_plan_full_of_debris_is_read_like_any_other() -> None:
    plan = read(
        "雲澤縣2024年衛(wèi)生健康工作要點(diǎn)",
        "??? 一、深化醫(yī)療衛(wèi)生體制改革",
        "1強(qiáng)化統(tǒng)籌,建設(shè)重點???個。(責(zé)任單位:醫(yī)改處)",
        "2.發(fā)展健康產業(yè)。",
    )
    assert plan.title == "云泽县2024年卫生健康工作要点"
    assert [(i.number, i.path, i.text, i.units, i.flags) for i in plan.items] == [
        ("1", ["一、深化医疗卫生体制改革"], "强化统筹,建设重点???个。", "(责任单位:医改处)", ["???"]),
        ("2", ["一、深化医疗卫生体制改革"], "发展健康产业。", "", []),
    ]
    assert str(plan.repairs) == "pinyin 4, question_marks 1, traditional 4"


def test_a_repair_step_that_is_switched_off_leaves_its_traces() -> None:
    lines = [Line(TITLE), Line("一、公共卫生"), Line("1.建档率９５％。")]
    assert read_plan(lines).items[0].text == "建档率95%。"
    assert read_plan(lines, repairs=Repairs.without({"width"})).items[0].text == "建档率９５％。"


def test_rows_show_the_contract_and_flags_only_where_there_is_damage() -> None:
    plan = read("云泽县卫生健康局2024年工作要点", "一、公共卫生", "1.建立档案???份。", "2.开展讲座。(责任单位:宣教科)")
    common = {"plan": "plan.txt", "title": "云泽县卫生健康局2024年工作要点", "year": 2024, "issuer": "云泽县卫生健康局"}
    assert plan.rows() == [
        common | {"number": "1", "path": ["一、公共卫生"], "text": "建立档案???份。", "units": "", "flags": ["???"]},
        common | {"number": "2", "path": ["一、公共卫生"], "text": "开展讲座。", "units": "(责任单位:宣教科)"},
    ]


def test_a_file_is_named_by_its_name_and_an_empty_one_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "要点.txt"
    file.write_text("\n".join([TITLE, *BODY]), encoding="utf-8")
    assert read_plan(file).name == "要点.txt"
    assert read_plan(str(file), name="2024/要点.txt").name == "2024/要点.txt"
    file.write_text(" \n\n", encoding="utf-8")
    with pytest.raises(NoText, match=r"要点\.txt"):
        read_plan(file)


def test_no_lines_give_an_empty_plan() -> None:
    plan = read("", "   ")
    assert (plan.items, plan.lines, plan.title) == ([], [], None)


# ── Printing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_outline_is_printed_with_each_heading_once() -> None:
    rows = [("1", ["一、改革", "（一）医改"], "推进。", "(责任单位:甲科)"), ("2", ["一、改革", "（一）医改"], "65岁以上签约。", ""),
            ("一是", ["二、疾控"], "监测。", "")]  # fmt: skip
    assert outline_text(TITLE, rows).splitlines() == [
        TITLE, "一、改革", "（一）医改", "1.推进。(责任单位:甲科)", "2. 65岁以上签约。", "二、疾控", "一是监测。",
    ]  # fmt: skip


def test_a_printed_plan_reads_the_same() -> None:
    plan = read(TITLE, *BODY)
    assert read(*plan.to_text().splitlines()).items == plan.items
