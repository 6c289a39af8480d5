import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.plans.units import is_units, split_units


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("推进总药师制度。", "(牵头单位:药政科;责任单位:各医院(含民营))"),
        ("推进总药师制度。", "（牵头单位：药政科；责任单位：医政科)"),
        ("推进总药师制度。", "(完成时限:6月底)(责任单位:药政科)"),
        ("推进总药师制度。", "（牵头领导：张甲）（责任科室：药政科）"),
        ("推进总药师制度。", "【责任科室：药政科】"),
        ("推进总药师制度。", "〔责任科室：药政科〕"),
        ("推进总药师制度。", "[责任科室:药政科]"),
        ("推进总药师制度。", "责任单位:药政科"),
        ("推进总药师制度。", "责任领导：张甲；责任科室：药政科"),
        ("推进总药师制度。", "(药政科、医政科)"),
        ("推进总药师制度。", "(各县区按职责分工负责)"),
        ("推进总药师制度。", "(药政科牵头，医政科配合)"),
        ("推进总药师制度。", "（由药政科负责）"),
        ("推进总药师制度；", "（责任单位：药政科）"),
        ("推进总药师制度", "(责任单位:药政科)"),
    ],
)
def test_the_trailing_bracket_of_units_leaves_the_text(text: str, units: str) -> None:
    assert split_units(text + units) == (text, units)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "推进总药师制度。",
        "推进三医联动(医疗、医保、医药)。",
        "推进医院评审(试行)",
        "组建医疗集团(县医院、中医院)",
        "在(责任单位:药政科)落实后推进改革。",
        "落实责任单位:药政科要牵头推进。全县一盘棋。",
        "建成中心(含县医院急诊中心、卒中中心",
        "建成中心)",
        "()",
        "。",
    ],
)
def test_what_is_no_unit_stays_in_the_text(text: str) -> None:
    assert split_units(text) == (text, "")


def test_a_full_stop_behind_the_bracket_goes_back_to_a_text_without_one() -> None:
    assert split_units("推进改革(责任单位:医改科)。") == ("推进改革。", "(责任单位:医改科)")
    assert split_units("推进改革。(责任单位:医改科)。") == ("推进改革。", "(责任单位:医改科)")


def test_a_bracket_that_was_never_closed_is_cut_all_the_same() -> None:
    assert split_units("推进改革。(责任单位:医改科") == ("推进改革。", "(责任单位:医改科")


def test_units_on_a_line_of_their_own_need_no_full_stop_before_them() -> None:
    assert split_units("推进改革\n责任单位:医改科") == ("推进改革", "责任单位:医改科")
    assert split_units("推进改革\n（责任单位：医改科）") == ("推进改革", "（责任单位：医改科）")


@pytest.mark.parametrize(
    "text", ["(责任单位:医改科)", "责任单位：医改科、基层科", " （牵头单位：甲科；责任单位：乙科） "]
)
def test_a_paragraph_can_be_nothing_but_units(text: str) -> None:
    assert is_units(text)


@pytest.mark.parametrize("text", ["推进改革。(责任单位:医改科)", "责任单位要落实。", "(县医院、中医院)", "()"])
def test_a_paragraph_with_text_is_more_than_units(text: str) -> None:
    assert not is_units(text)


@given(st.text(), st.text(alphabet="()（）〔〕【】[]。；;责任单位:科、 \n", max_size=60))
def test_nothing_but_stops_and_space_is_lost(head: str, tail: str) -> None:
    def bare(text: str) -> str:
        return "".join(c for c in text if c not in "。.;；" and not c.isspace())

    body, units = split_units(head + tail)
    assert bare(body + units) == bare(head + tail)
