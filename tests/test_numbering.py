import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.plans.numbering import Marker, chinese_number, read_doubtful, read_marker


def shape(text: str) -> tuple[str, int, str, str] | None:
    """(kind, value, printed, what is left of the line)."""
    marker = read_marker(text)
    return marker and (marker.kind, marker.value, marker.printed, text[len(marker.mark) :])


@pytest.mark.parametrize(
    ("text", "number"),
    [("一", 1), ("两", 2), ("十", 10), ("十二", 12), ("二十", 20), ("二十一", 21), ("一〇", 10), ("一零三", 103),
     ("一百", 100), ("一百零三", 103), ("一百二十", 120)],
)  # fmt: skip
def test_chinese_numbers_are_counted(text: str, number: int) -> None:
    assert chinese_number(text) == number


@pytest.mark.parametrize("text", ["", "千", "一A", "1", "甲"])
def test_what_is_no_chinese_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f"^{text}$"):
        chinese_number(text)


@given(st.integers(1, 999))
def test_every_number_below_a_thousand_is_read_as_it_is_written(number: int) -> None:
    digits = "零一二三四五六七八九"
    hundreds, tens, ones = number // 100, number // 10 % 10, number % 10
    written = f"{digits[hundreds]}百" if hundreds else ""
    written += f"{digits[tens]}十" if tens else "零" if hundreds and ones else ""
    written += digits[ones] if ones else ""
    assert chinese_number(written) == number


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("一、深化改革", ("cn_dot", 1, "一", "深化改革")),
        ("十二.深化改革", ("cn_dot", 12, "十二", "深化改革")),
        ("(三) 深化改革", ("cn_paren", 3, "(三)", "深化改革")),
        ("（三）深化改革", ("cn_paren", 3, "（三）", "深化改革")),
        ("（ 三 )、深化改革", ("cn_paren", 3, "（三)", "深化改革")),
        ("〔三〕深化改革", ("cn_paren", 3, "〔三〕", "深化改革")),
        ("㈢深化改革", ("cn_paren", 3, "㈢", "深化改革")),
        ("三）深化改革", ("cn_half", 3, "三）", "深化改革")),
        ("1.深化改革", ("num", 1, "1", "深化改革")),
        ("1、深化改革", ("num", 1, "1", "深化改革")),
        ("1 、深化改革", ("num", 1, "1", "深化改革")),
        ("13.  深化改革", ("num", 13, "13", "深化改革")),
        ("⒔深化改革", ("num", 13, "⒔", "深化改革")),
        ("(1)深化改革", ("num_paren", 1, "(1)", "深化改革")),
        ("（12）深化改革", ("num_paren", 12, "（12）", "深化改革")),
        ("⑿深化改革", ("num_paren", 12, "⑿", "深化改革")),
        ("1)深化改革", ("num_half", 1, "1)", "深化改革")),
        ("1）2024年深化改革", ("num_half", 1, "1）", "2024年深化改革")),
        ("①深化改革", ("circled", 1, "①", "深化改革")),
        ("㉑深化改革", ("circled", 21, "㉑", "深化改革")),
        ("❷深化改革", ("circled", 2, "❷", "深化改革")),
        ("1.2深化改革", ("num_num", 2, "1.2", "深化改革")),
        ("1.2 深化改革", ("num_num", 2, "1.2", "深化改革")),
        ("1.2.3 深化改革", ("num_num_num", 3, "1.2.3", "深化改革")),
        ("一是着力抓改革", ("one_is", 1, "一是", "着力抓改革")),
        ("二要，着力抓改革", ("one_is", 2, "二要", "着力抓改革")),
        ("一、是着力抓改革", ("task_is", 1, "一、", "是着力抓改革")),
        ("任务二：深化改革", ("named", 2, "任务二", "深化改革")),
        ("第二部分 工作安排", ("part", 2, "第二部分", "工作安排")),
        ("第 三 章 主要任务", ("chapter", 3, "第三章", "主要任务")),
        ("第一节、扩大供给", ("section", 1, "第一节", "扩大供给")),
        ("第12条 扩大供给", ("article", 12, "第12条", "扩大供给")),
        ("  一、深化改革", ("cn_dot", 1, "一", "深化改革")),
    ],
)
def test_every_numbering_system_is_read(text: str, expected: tuple[str, int, str, str]) -> None:
    assert shape(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "   ", "深化改革", "2024年深化改革", "5月底前完成", "3个中心建成", "90%以上", "2-3家医院", "12:00开会", "三甲医院",
     "二级以上医院", "十四五规划", "百年大计", "三要素管理", "四要点清单", "〇、无", "(零)无", "0.深化", "1.5万人次", "1000.深化"],
)  # fmt: skip
def test_quantities_dates_and_words_that_begin_with_a_figure_are_no_numbers(text: str) -> None:
    marker = read_marker(text)
    assert marker is None or not marker.certain


def test_a_figure_with_a_point_at_the_head_of_a_wrapped_line_is_no_number_one() -> None:
    assert read_marker("1.5万人次培训") is read_marker("1.8%以内") is read_marker("1.2个百分点") is None
    assert shape("1.2025年建成中心") == ("num", 1, "1", "2025年建成中心")


@pytest.mark.parametrize(
    ("text", "value", "rest"),
    [
        ("29深化改革", 29, "深化改革"),
        ("29 深化改革", 29, "深化改革"),
        ("29“互联网+”服务", 29, "“互联网+”服务"),
        ("3.65岁以上老年人", 3, "65岁以上老年人"),
        ("51.120指挥系统", 51, "120指挥系统"),
        ("4，深化改革", 4, "深化改革"),
        ("4:深化改革", 4, "深化改革"),
        ("4。深化改革", 4, "深化改革"),
    ],
)
def test_a_number_without_its_dot_or_with_a_figure_behind_it_is_doubtful(text: str, value: int, rest: str) -> None:
    marker = read_doubtful(text)
    assert marker == Marker("num", value, str(value), text[: -len(rest)], certain=False)


@given(st.text())
def test_a_mark_is_always_the_head_of_its_line(text: str) -> None:
    marker = read_marker(text)
    if marker:
        assert text.startswith(marker.mark)
        assert marker.value > 0
        assert marker.printed
