import pytest
from documents import abstract, level, num, paragraph, style, word_file

from train.plans.formats.numerals import FORMATS, counted, digit_by_digit, printed
from train.plans.formats.word import read_docx
from train.plans.formats.word_numbering import with_number
from train.plans.lines import Line

THREE = abstract(
    0, level(0, "chineseCounting", "%1、"), level(1, "chineseCountingThousand", "(%2)"), level(2, "decimal", "%3.")
)


def texts(body: str, numbering: str, styles: str = "") -> list[str]:
    return [line.text for line in read_docx(word_file(body, numbering, styles))]


def listed(*levels: int, of: int = 1) -> str:
    return "".join(paragraph("项", of, each) for each in levels)


@pytest.mark.parametrize(
    ("form", "seen"),
    [
        ("decimal", {1: "1", 10: "10"}),
        ("chineseCounting", {1: "一", 10: "十", 11: "十一", 20: "二十", 101: "一百零一"}),
        ("chineseCountingThousand", {12: "十二", 100: "一百", 110: "一百一十", 1001: "一千零一"}),
        ("taiwaneseCountingThousand", {3: "三", 21: "二十一"}),
        ("japaneseCounting", {4: "四", 10: "十"}),
        ("ideographDigital", {10: "一〇", 26: "二六"}),
        ("ideographTraditional", {1: "甲", 10: "癸", 11: "11"}),
        ("ideographZodiac", {1: "子", 12: "亥"}),
        ("chineseLegalSimplified", {1: "壹", 12: "壹拾贰"}),
        ("decimalEnclosedCircle", {1: "①", 20: "⑳", 21: "㉑", 36: "㊱", 51: "51"}),
        ("decimalEnclosedCircleChinese", {2: "②"}),
        ("decimalEnclosedParen", {3: "⑶"}),
        ("decimalEnclosedFullstop", {4: "⒋"}),
        ("ideographEnclosedCircle", {2: "㊁"}),
        ("decimalFullWidth", {12: "１２"}),
        ("decimalZero", {5: "05", 12: "12"}),
        ("upperRoman", {4: "IV", 9: "IX", 40: "XL"}),
        ("lowerRoman", {3: "iii"}),
        ("upperLetter", {1: "A", 26: "Z", 27: "AA", 28: "BB"}),
        ("lowerLetter", {2: "b"}),
        ("none", {1: ""}),
        ("aFormatOfTheFuture", {7: "7"}),
    ],
)
def test_number_formats_print_as_word_does(form: str, seen: dict[int, str]) -> None:
    assert {n: printed(n, form) for n in seen} == seen


def test_numbers_out_of_range_fall_back_to_figures() -> None:
    assert all(form(0) in ("0", "00", "", "〇", "０") for form in FORMATS.values())
    assert counted(10_000) == "10000"
    assert digit_by_digit(-1) == "-1"


def test_three_chinese_levels_come_out_as_printed() -> None:
    body = (
        paragraph("深化改革", 1, 0)
        + paragraph("推进医共体", 1, 1)
        + paragraph("建设中心", 1, 2)
        + paragraph("2026年建成", 1, 2)
        + paragraph("发展中医药", 1, 1)
        + paragraph("名医工作室", 1, 2)
        + paragraph("不编号")
        + paragraph("强化保障", 1, 0)
        + paragraph("加强党建", 1, 1)
    )
    assert texts(body, THREE + num(1, 0)) == [
        "一、深化改革",
        "(一)推进医共体",
        "1.建设中心",
        "2. 2026年建成",
        "(二)发展中医药",
        "1.名医工作室",
        "不编号",
        "二、强化保障",
        "(一)加强党建",
    ]


def test_a_level_can_print_the_numbers_above_it() -> None:
    lists = abstract(0, level(0, "chineseCounting", "第%1章"), level(1, "decimal", "%1.%2"))
    legal = abstract(1, level(0, "chineseCounting", "第%1章"), level(1, "decimal", "%1.%2", extra="<w:isLgl/>"))
    numbering = lists + legal + num(1, 0) + num(2, 1)
    assert texts(listed(0, 1, 1), numbering) == ["第一章 项", "一.1 项", "一.2 项"]
    assert texts(listed(0, 1, of=2), numbering) == ["第一章 项", "1.1 项"]
    assert texts(listed(1), numbering) == ["一.1 项"]


def test_bullets_and_formats_without_number_print_none() -> None:
    numbering = abstract(0, level(0, "bullet", "\uf0b7"), level(1, "none", "附:"), level(2, "none", "")) + num(1, 0)
    assert texts(listed(0, 1, 2), numbering) == ["项", "附:项", "项"]


def test_start_and_restart_are_obeyed() -> None:
    lists = abstract(
        0,
        level(0, "decimal", "%1.", start=3),
        level(1, "decimal", "(%2)", extra='<w:lvlRestart w:val="0"/>'),
        level(2, "decimal", "%3)", extra='<w:lvlRestart w:val="1"/>'),
    )
    seen = texts(listed(0, 1, 2, 1, 2, 0, 1, 2), lists + num(1, 0))
    assert seen == ["3.项", "(1)项", "1)项", "(2)项", "2)项", "4.项", "(3)项", "1)项"]


def test_lists_that_share_an_abstract_list_share_its_count_unless_overridden() -> None:
    restart = '<w:lvlOverride w:ilvl="0"><w:startOverride w:val="5"/></w:lvlOverride>'
    numbering = THREE + num(1, 0) + num(2, 0) + num(3, 0, restart)
    body = listed(0) + listed(0, of=2) + listed(0, 0, 1, of=3) + listed(0, of=1) + listed(0, of=3)
    assert texts(body, numbering) == ["一、项", "二、项", "五、项", "六、项", "(一)项", "七、项", "八、项"]


def test_an_override_can_replace_a_level() -> None:
    own = f'<w:lvlOverride w:ilvl="0">{level(0, "upperLetter", "%1.")}</w:lvlOverride>'
    assert texts(listed(0, 0), THREE + num(1, 0, own)) == ["A.项", "B.项"]


def test_numbers_are_inherited_from_styles_and_can_be_switched_off() -> None:
    styles = style("1", "heading 1", properties='<w:numPr><w:numId w:val="1"/></w:numPr>')
    styles += style("2", "heading 2", "1", '<w:numPr><w:ilvl w:val="1"/><w:numId w:val="1"/></w:numPr>')
    styles += style("a", "我的标题", "2")
    styles += style("off", "无编号", "1", '<w:numPr><w:numId w:val="0"/></w:numPr>')
    body = (
        paragraph("医改", style="1")
        + paragraph("医共体", style="2")
        + paragraph("医联体", style="a")
        + paragraph("前言", style="off")
        + paragraph("附则", num=0, level=0, style="1")
        + paragraph("党建", style="1")
    )
    assert read_docx(word_file(body, THREE + num(1, 0), styles)) == [
        Line("一、医改", 1),
        Line("(一)医共体", 2),
        Line("(二)医联体", 2),
        Line("前言", 1),
        Line("附则", 1),
        Line("二、党建", 1),
    ]


def test_a_level_tied_to_a_style_counts_for_it() -> None:
    lists = abstract(0, level(0, "decimal", "%1."), level(1, "decimal", "(%2)", extra='<w:pStyle w:val="item"/>'))
    styles = style("item", "条目", properties='<w:numPr><w:numId w:val="1"/></w:numPr>')
    assert texts(paragraph("甲", style="item") * 2, lists + num(1, 0), styles) == ["(1)甲", "(2)甲"]


def test_a_list_defined_by_a_list_style_is_found() -> None:
    link = '<w:abstractNum w:abstractNumId="5"><w:numStyleLink w:val="plan"/></w:abstractNum>'
    styles = (
        '<w:style w:type="numbering" w:styleId="plan"><w:name w:val="plan"/><w:pPr><w:numPr>'
        '<w:numId w:val="1"/></w:numPr></w:pPr></w:style>'
    )
    assert texts(listed(0, of=2), THREE + link + num(1, 0) + num(2, 5), styles) == ["一、项"]
    circle = '<w:abstractNum w:abstractNumId="5"><w:numStyleLink w:val="plan"/></w:abstractNum>' + num(1, 5)
    assert texts(listed(0), circle, styles) == ["项"]


def test_styles_based_on_each_other_in_a_circle_do_not_hang() -> None:
    styles = style("a", "甲", "b") + style("b", "乙", "a")
    assert texts(paragraph("项", style="a"), THREE, styles) == ["项"]


def test_lists_that_are_not_defined_print_no_number() -> None:
    assert texts(listed(0, of=9) + listed(7), THREE + num(1, 0)) == ["项", "项"]


def test_an_empty_paragraph_counts_as_in_word_and_prints_nothing() -> None:
    assert texts(paragraph("", 1, 2) + paragraph("项", 1, 2), THREE + num(1, 0)) == ["2.项"]


def test_a_custom_format_prints_leading_zeros() -> None:
    form = (
        '<mc:AlternateContent><mc:Choice Requires="w14"><w:numFmt w:val="custom" w:format="01, 02, 03, ..."/></mc:Choice>'
        '<mc:Fallback><w:numFmt w:val="decimal"/></mc:Fallback></mc:AlternateContent>'
    )
    lists = (
        f'<w:abstractNum w:abstractNumId="0"><w:lvl w:ilvl="0">{form}<w:lvlText w:val="%1."/></w:lvl></w:abstractNum>'
    )
    assert texts(listed(0), lists + num(1, 0)) == ["01.项"]


@pytest.mark.parametrize(
    ("number", "text", "printed_line"),
    [
        ("1.", "2026年", "1. 2026年"),
        ("1.", "推进", "1.推进"),
        ("1", "推进", "1 推进"),
        ("一、", "2026", "一、2026"),
        ("", "甲", "甲"),
    ],
)
def test_a_number_and_its_text_never_run_together(number: str, text: str, printed_line: str) -> None:
    assert with_number(number, text) == printed_line


def test_a_file_numbered_by_python_docx_is_read() -> None:
    import io

    from docx import Document

    document = Document()
    document.add_heading("工作要点", 0)
    document.add_heading("医改", 2)
    document.add_paragraph("医共体", style="List Number")
    document.add_paragraph("医联体", style="List Number")
    document.add_paragraph("圆点", style="List Bullet")
    out = io.BytesIO()
    document.save(out)
    assert read_docx(out.getvalue()) == [
        Line("工作要点", 1),
        Line("医改", 2),
        Line("1.医共体"),
        Line("2.医联体"),
        Line("圆点"),
    ]
