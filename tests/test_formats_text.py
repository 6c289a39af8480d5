import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.plans.formats.markdown import markdown_lines
from train.plans.formats.paragraphs import clean, display_width, heading_line, join
from train.plans.formats.text import text_lines
from train.plans.lines import Line

ITEM = (
    "坚持以人民健康为中心,深入推进县域医共体建设,完善分级诊疗制度,提升基层医疗卫生服务能力,加强家庭医生签约服务,"
    "推动优质医疗资源下沉,年底前县域内住院量占比达到九成以上,群众看病就医更加便捷,满意度持续提高。"
)


def texts(text: str) -> list[str]:
    return [line.text for line in text_lines(text)]


def wrapped(paragraphs: list[str], chars: int, indent: str = "") -> str:
    lines: list[str] = []
    for paragraph in paragraphs:
        text = indent + paragraph
        lines += [text[i : i + chars] for i in range(0, len(text), chars)]
    return "\n".join(lines)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\u2028", "\f", "\x0b", "\x85"])
def test_every_line_end_ends_a_paragraph(end: str) -> None:
    assert texts(f"一、医改{end}{end}(一)医共体{end}  ") == ["一、医改", "(一)医共体"]


def test_invisible_characters_and_outer_spaces_go() -> None:
    assert clean("\ufeff\u3000\u3000推进\u200b医\u00ad改\u00a0工作\t要点\x07 ") == "推进医改 工作 要点"


def test_long_lines_are_paragraphs_each() -> None:
    paragraphs = [f"{i}.{ITEM}" for i in range(1, 12)]
    assert texts("\n".join(paragraphs)) == paragraphs


def test_short_lines_of_equal_length_are_not_joined() -> None:
    lines = [f"{i}.建设一所标准化卫生院;" for i in range(1, 10)]
    assert texts("\n".join(lines)) == lines


@pytest.mark.parametrize("indent", ["", "\u3000\u3000"])
def test_a_hard_wrapped_text_is_joined_to_its_paragraphs(indent: str) -> None:
    paragraphs = ["青川湖市卫生健康工作要点", "一、深化改革", *[f"{i}.{ITEM}" for i in range(1, 9)], "二、保障", ITEM]
    assert texts(wrapped(paragraphs, 35, indent)) == paragraphs


def test_an_indent_parts_unnumbered_paragraphs_of_a_hard_wrapped_text() -> None:
    paragraphs = [ITEM[:69] + "。", ITEM, ITEM + ITEM, ITEM]
    assert texts(wrapped(paragraphs, 36, "\u3000\u3000")) == paragraphs


def test_one_is_runs_on_inside_a_wrapped_paragraph() -> None:
    text = "(一)" + ITEM[:66] + "。" + "二是" + ITEM
    lines = wrapped([text, *[f"({n})" + ITEM for n in "二三四五六"]], 35)
    assert texts(lines)[0] == text


def test_a_blank_line_ends_a_wrapped_paragraph() -> None:
    assert texts(wrapped([ITEM] * 6, 36).replace(ITEM[-9:], ITEM[-9:] + "\n")) == [ITEM] * 6


def test_latin_words_are_joined_with_a_space_and_chinese_without() -> None:
    assert join("health", "care") == "health care"
    assert join("健康", "中国") == "健康中国"
    assert join("", "中国") == "中国"


def test_ambiguous_characters_are_two_columns_wide() -> None:
    assert display_width("a“健”") == 7


def test_a_heading_is_short() -> None:
    assert heading_line("深化改革", 3) == Line("深化改革", 3)
    assert heading_line("深化改革", 9) == Line("深化改革", 6)
    assert heading_line(ITEM + ITEM, 2).heading == 0


@given(st.text(st.sampled_from("一、(三)1.是健康工作。;\n \u3000\r\fA9"), max_size=400))
def test_no_visible_character_of_a_text_is_lost(text: str) -> None:
    joined = "".join("".join(line.text for line in text_lines(text)).split())
    assert joined == "".join(text.split())


# ── Markdown ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_markdown_headings_keep_their_level() -> None:
    assert markdown_lines("# 工作要点\n\n### 一、**医改**\n\n#二、没有空格\n\n正文。") == [
        Line("工作要点", 1),
        Line("一、医改", 3),
        Line("二、没有空格", 1),
        Line("正文。"),
    ]


def test_markdown_underlined_titles_are_headings_and_underlined_paragraphs_are_not() -> None:
    assert markdown_lines("工作要点\n====\n\n第一行。\n第二行。\n---\n") == [
        Line("工作要点", 1),
        Line("第一行。"),
        Line("第二行。"),
    ]


def test_markdown_marks_are_taken_away() -> None:
    text = (
        "- **加强**[疫苗接种](http://example.invalid/a)与~~停用~~`代码`\n* 2\\. 转义\n\n**任务。**推进\n\n<b>粗</b>体"
    )
    assert [line.text for line in markdown_lines(text)] == ["加强疫苗接种与停用代码", "2. 转义", "任务。推进", "粗体"]


def test_markdown_ordered_lists_keep_their_printed_numbers() -> None:
    text = "3. 推进医改\n4. 加强中医药\n\n   续段。\n\n中间\n\n7) 2026年托育\n   1. 子项"
    assert [line.text for line in markdown_lines(text)] == [
        "3.推进医改",
        "4.加强中医药",
        "续段。",
        "中间",
        "7) 2026年托育",
        "1.子项",
    ]


def test_markdown_lines_stay_lines_and_wrapped_ones_are_joined() -> None:
    assert [line.text for line in markdown_lines("一、医改\n(一)医共体\n1、中心")] == [
        "一、医改",
        "(一)医共体",
        "1、中心",
    ]
    pieces = wrapped([ITEM], 36) + "\n\n" + wrapped([ITEM], 36) + "\n\n" + wrapped([ITEM], 36)
    assert [line.text for line in markdown_lines(pieces)] == [ITEM] * 3


def test_markdown_tables_front_matter_html_and_code_are_read() -> None:
    text = (
        "---\ntitle: 要点\n---\n| 序号 | 重点任务 | 责任单位 |\n|--|--|--|\n| 1 | 推进<br>医改 | 医改科 |\n\n"
        "<div><p>甲</p><p>乙</p></div>\n\n```\n代码\n```\n\n    缩进"
    )
    assert [line.text for line in markdown_lines(text)] == [
        "title: 要点",
        "1.推进。医改(责任单位:医改科)",
        "甲",
        "乙",
        "代码",
        "缩进",
    ]
