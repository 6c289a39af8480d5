import time

from hypothesis import given
from hypothesis import strategies as st

from train.plans.formats.tables import Repeat, table_lines
from train.plans.lines import Line


def texts(cells: list[list[str]]) -> list[str]:
    return [line.text for line in table_lines(cells)]


LONG = "健全覆盖城乡的急诊急救网络,完善院前急救与院内急诊衔接机制,急救站点服务半径不超过十公里,平均反应时间不超过十五分钟。"


def test_a_row_becomes_a_numbered_line_with_its_units() -> None:
    assert texts(
        [
            ["序号", "工作任务", "牵头单位", "责任单位", "完成时限"],
            ["1", "推进分级诊疗。", "医政科", "各县区", "6月底"],
            ["2", "2026年建成3所中心", "规划科", "", ""],
        ]
    ) == ["1.推进分级诊疗。(牵头单位:医政科;责任单位:各县区;完成时限:6月底)", "2. 2026年建成3所中心(牵头单位:规划科)"]


def test_several_text_columns_are_joined_with_a_full_stop() -> None:
    assert texts(
        [["编号", "重点任务", "具体措施", "责任科室"], ["(一)", "急救体系", "建站点。\n配车辆", "应急办\n医政科"]]
    ) == ["(一)急救体系。建站点。配车辆(责任科室:应急办、医政科)"]


def test_numbers_are_printed_with_a_separator() -> None:
    assert texts(
        [["序号", "任务"], ["一", "甲"], ["3、", "乙"], ["(4)", "丙"], ["5", "5.丁"], ["A-1", "戊"], ["6", "(一)己"]]
    ) == [
        "一、甲",
        "3、乙",
        "(4)丙",
        "5.丁",
        "A-1 戊",
        "6.(一)己",
    ]


def test_a_category_column_becomes_headings() -> None:
    assert table_lines(
        [
            ["类别", "序号", "任务内容", "责任单位"],
            ["公共卫生", "1", "疫苗接种", "疾控科"],
            ["公共卫生", "2", "慢病管理", "疾控科"],
            ["二、中医药", "3", "名医工作室", "中医科"],
        ]
    ) == [
        Line("公共卫生", 2),
        Line("1.疫苗接种(责任单位:疾控科)"),
        Line("2.慢病管理(责任单位:疾控科)"),
        Line("二、中医药"),
        Line("3.名医工作室(责任单位:中医科)"),
    ]


def test_a_merged_text_column_over_several_numbers_is_a_category() -> None:
    assert texts(
        [
            ["重点任务", "序号", "具体举措"],
            ["深化医改", "1", "医共体"],
            [Repeat("深化医改"), "2", "医联体"],
            ["托育", "3", "增加托位"],
        ]
    ) == ["深化医改", "1.医共体", "2.医联体", "托育", "3.增加托位"]


def test_a_merged_item_says_its_text_once() -> None:
    assert texts(
        [
            ["序号", "重点任务", "具体举措", "责任单位"],
            ["1", "深化医改", "医共体", "医改科"],
            [Repeat("1"), Repeat("深化医改"), "医联体", "医政科"],
            [Repeat("1"), Repeat("深化医改"), Repeat("医联体"), "财务科"],
            ["2", "托育", "增加托位", "人口科"],
        ]
    ) == [
        "1.深化医改。医共体(责任单位:医改科)",
        "医联体(责任单位:医政科)(责任单位:财务科)",
        "2.托育。增加托位(责任单位:人口科)",
    ]


def test_rows_across_the_table_titles_and_repeated_headers_are_told_apart() -> None:
    assert table_lines(
        [
            ["青川湖市重点任务分解表", *[Repeat("青川湖市重点任务分解表")] * 2],
            ["序号", "工作内容", "责任科室"],
            ["一、医改", "一、医改", "一、医改"],
            ["1", "医共体", "医改科"],
            ["序号", "工作内容", "责任科室"],
            ["能力提升", Repeat("能力提升"), Repeat("能力提升")],
            ["2", "培训", "科教科"],
            ["三、保障", "", ""],
        ]
    ) == [
        Line("青川湖市重点任务分解表"),
        Line("一、医改"),
        Line("1.医共体(责任科室:医改科)"),
        Line("能力提升", 2),
        Line("2.培训(责任科室:科教科)"),
        Line("三、保障"),
    ]


def test_a_header_of_two_rows_gives_the_narrower_words() -> None:
    assert texts(
        [
            ["序号", "目标任务", "责任分工", Repeat("责任分工")],
            [Repeat("序号"), Repeat("目标任务"), "牵头单位", "配合单位"],
            ["1", "医共体", "医改科", "财务科"],
        ]
    ) == ["1.医共体(牵头单位:医改科;配合单位:财务科)"]


def test_columns_with_other_words_are_kept() -> None:
    assert texts([["序号", "工作任务", "责任单位", "经费(万元)"], ["1", "医共体", "医改科", "30"]]) == [
        "1.医共体(责任单位:医改科;经费(万元):30)"
    ]
    assert texts([["项目", "责任单位"], ["医共体", "医改科"]]) == ["医共体(责任单位:医改科)"]


def test_a_source_of_money_does_not_make_an_index_table() -> None:
    assert (
        texts([["序号", "任务", "责任单位", "资金来源"], ["1", "医共体", "医改科", "财政"]])[-1]
        == "1.医共体(责任单位:医改科;资金来源:财政)"
    )


def test_two_columns_of_numbers_count_by_the_right_one() -> None:
    assert texts([["序号", "板块", "任务序号", "任务", "责任人"], ["1", "医改", "7", "医共体", "甲"]]) == [
        "1.医改",
        "7.医共体(责任人:甲)",
    ]


def test_labels_and_values_share_a_line_and_an_index_table_is_no_plan() -> None:
    assert texts([["索引号", "QCH-7", "发布日期", "2026-01-05"], ["主题分类", "卫生", "发文机关", "卫健委"]]) == [
        "索引号 QCH-7 发布日期 2026-01-05",
        "主题分类 卫生 发文机关 卫健委",
    ]


def test_a_layout_is_read_cell_by_cell() -> None:
    assert texts([["目录\n首页", LONG + "\n" + LONG]]) == ["目录", "首页", LONG, LONG]
    assert texts([["一栏"], ["甲\n乙"], [Repeat("甲\n乙")]]) == ["一栏", "甲", "乙"]


def test_numbered_rows_without_a_header_are_items() -> None:
    assert texts([["1", LONG, "医政科", "6月底"], ["2", "医改", LONG, LONG]]) == [
        f"1.{LONG}(医政科;6月底)",
        f"2.医改。{LONG}{LONG}",
    ]


def test_an_empty_table_has_no_lines() -> None:
    assert table_lines([]) == []
    assert table_lines([["", ""], ["", ""]]) == []
    assert table_lines([["序号", "任务"]]) == [Line("序号 任务")]


def test_a_huge_grid_is_read_without_being_filled() -> None:
    assert texts([["甲"]] * 3_000 + [["乙"] * 3_000])[:1] == ["甲"]


words = st.sampled_from(["序号", "任务", "类别", "责任单位", "1", "2", "一、", "其他", "2026年", "", "甲\n乙", LONG])


@given(st.lists(st.lists(words, max_size=5), max_size=6))
def test_every_content_cell_of_any_table_is_said(grid: list[list[str]]) -> None:
    marked = [[f"{cell}#{i}-{j}#" if cell else "" for j, cell in enumerate(row)] for i, row in enumerate(grid)]
    said = "".join(line.text for line in table_lines([["序号", "类别", "任务", "说明", "责任单位"], *marked]))
    for row in marked:
        for cell in row:
            assert cell.split("\n")[-1] in said


def test_a_table_of_three_hundred_columns_is_read_in_seconds() -> None:
    """Its rows were once looked through again for every column: 17 s in place of .4."""
    n = 300
    rows = [[str(at), *(f"第{at}行{column}列的工作。" for column in range(n - 1))] for at in range(1, n)]
    began = time.process_time()
    assert len(table_lines([["序号"] + ["工作内容"] * (n - 1), *rows])) == n - 1
    assert time.process_time() - began < 5
