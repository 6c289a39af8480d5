import io
import re

import pytest
from documents import flowing_pdf, pdf_file, scanned_pdf

from train.plans.formats import pdf as pdf_module
from train.plans.formats import pdf_limits, pdf_tables
from train.plans.formats.pdf import read_pdf
from train.plans.formats.refusals import Damaged, Locked, Oversized, Textless

ITEM = (
    "坚持以人民健康为中心,深入推进县域医共体建设,完善分级诊疗制度,提升基层医疗卫生服务能力,加强家庭医生签约服务,"
    "推动优质医疗资源下沉,年底前县域内住院量占比达到九成以上,群众看病就医更加便捷。"
)


def texts(raw: bytes) -> list[str]:
    return [line.text for line in read_pdf(raw)]


def test_wrapped_lines_become_paragraphs_across_pages_without_heads_and_numbers() -> None:
    story = ["一、深化改革", ITEM * 3, *[f"{i}.{ITEM}(牵头单位:医政科)" for i in range(1, 16)], "二、保障", ITEM, ITEM]
    assert texts(flowing_pdf(story, head="青川湖市卫生健康委员会文件")) == story


@pytest.mark.parametrize(
    "printed", ["- 3 -", "— 3 —", "3", "第 3 页", "第3页 共10页", "第3页/共10页", "3 / 10", "iii", "Page 3 of 10"]
)
def test_page_numbers_in_the_margin_are_dropped(printed: str) -> None:
    assert texts(pdf_file([[(72, 200, "医改"), (280, 800, printed)]])) == ["医改"]


def test_a_number_in_the_page_and_an_item_in_the_margin_stay() -> None:
    assert texts(pdf_file([[(72, 400, "2026"), (72, 800, "3.加强中医药")]])) == ["2026", "3.加强中医药"]


def test_running_heads_with_the_page_number_inside_are_dropped() -> None:
    pages = [[(72, 50, f"青川湖市工作要点 第{i}页"), (72, 200, f"第{i}段落。")] for i in range(1, 5)]
    assert texts(pdf_file(pages)) == [f"第{i}段落。" for i in range(1, 5)]


def test_numbered_annexes_at_the_head_of_pages_are_no_running_heads() -> None:
    pages = [[(72, 60, f"附件{i}"), (72, 200, "正文。")] for i in range(1, 4)]
    assert texts(pdf_file(pages)) == ["附件1", "正文。", "附件2", "正文。", "附件3", "正文。"]


def lines_of(*texts: str, left: float = 72, first: float = 100) -> list[tuple[float, float, str]]:
    return [(left, first + 28 * i, text) for i, text in enumerate(texts)]


def test_without_indents_a_number_opens_a_paragraph() -> None:
    page = lines_of("1." + ITEM[:26], ITEM[26:53], ITEM[53:60] + "。", "2." + ITEM[:26], ITEM[26:50] + "。")
    assert texts(pdf_file([page])) == ["1." + ITEM[:60] + "。", "2." + ITEM[:50] + "。"]


def test_a_hanging_indent_does_not_part_a_paragraph() -> None:
    page = [(72, 100, "1." + ITEM[:27]), (104, 128, ITEM[27:53]), (104, 156, ITEM[53:60]), (72, 184, "2." + ITEM[:8])]
    assert texts(pdf_file([page])) == ["1." + ITEM[:60], "2." + ITEM[:8]]


def test_white_space_between_lines_parts_paragraphs() -> None:
    page = [(72, 100 + 28 * i, ITEM[:28]) for i in range(4)] + [(72, 400, ITEM[28:56])]
    assert texts(pdf_file([page])) == [ITEM[:28] * 4, ITEM[28:56]]


def test_bold_type_drawn_twice_is_read_once() -> None:
    assert texts(pdf_file([[(72, 100, "医改"), (72.3, 100, "医改")]])) == ["医改"]


def test_a_ruled_table_goes_on_over_pages() -> None:
    rows = [[str(i), f"任务{i}:{ITEM}", "妇幼健康科、基层科"] for i in range(1, 25)]
    seen = texts(flowing_pdf(["前言。", [["序号", "重点任务", "责任单位"], *rows], "后记。"]))
    assert seen == ["前言。", *[f"{n}.{text}(责任单位:{unit})" for n, text, unit in rows], "后记。"]


def test_merged_cells_of_a_table_are_said_once() -> None:
    rows = [
        ["序号", "类别", "任务", "责任分工", ""],
        ["", "", "", "牵头单位", "配合单位"],
        ["1", "公共卫生", "接种", "疾控科", "基层科"],
        ["2", "", "筛查", "妇幼科", "基层科"],
        ["3", "医改", "医共体", "医改科", ""],
    ]
    spans = [("SPAN", (3, 0), (4, 0)), *[("SPAN", (i, 0), (i, 1)) for i in range(3)], ("SPAN", (1, 2), (1, 3))]
    assert texts(flowing_pdf([rows], spans)) == [
        "公共卫生",
        "1.接种(牵头单位:疾控科;配合单位:基层科)",
        "2.筛查(牵头单位:妇幼科;配合单位:基层科)",
        "医改",
        "3.医共体(牵头单位:医改科)",
    ]


def test_units_on_lines_of_their_own_in_a_cell_are_told_apart() -> None:
    rows = [["序号", "任务", "责任单位"], ["1", "医共体", "医改科<br/>基层科"]]
    assert texts(flowing_pdf([rows])) == ["1.医共体(责任单位:医改科、基层科)"]


def test_a_page_full_of_drawing_is_read_without_its_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf_tables, "_MAX_DRAWN", 3)
    assert texts(flowing_pdf([[["序号", "任务"], ["1", "医共体"]]])) == ["序号 任务", "1 医共体"]


def test_a_watermark_across_the_page_is_left_out() -> None:
    from reportlab.pdfgen.canvas import Canvas

    out = io.BytesIO()
    canvas = Canvas(out)
    canvas.drawString(72, 700, "plan of a health commission")
    canvas.rotate(45)
    canvas.drawString(300, 100, "DRAFT")
    canvas.save()
    assert texts(out.getvalue()) == ["plan of a health commission"]


# ── Files that give no text ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_scan_is_refused() -> None:
    message = "a scan, pictures of pages without text: run OCR on it first, or ask for the Word file"
    with pytest.raises(Textless, match=message):
        read_pdf(scanned_pdf())
    with pytest.raises(Textless, match=message):
        read_pdf(pdf_file([[(280, 800, "- 1 -")]]))


def test_fonts_that_map_to_no_character_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf_module, "_UNMAPPED", re.compile("医"))
    with pytest.raises(Textless, match="its fonts do not say which characters they draw: run OCR on it first"):
        read_pdf(pdf_file([[(72, 100, "医医改")]]))
    assert texts(pdf_file([[(72, 100, "医改改革改革")]])) == ["\ufffd改改革改革"]


def test_a_password_is_refused_and_an_empty_one_is_not() -> None:
    from reportlab.lib.pdfencrypt import StandardEncryption
    from reportlab.pdfgen.canvas import Canvas

    with pytest.raises(Locked, match="asks for a password: open it, print it to a new PDF without one"):
        read_pdf(pdf_file([[(72, 100, "医改")]], password="secret"))
    out = io.BytesIO()
    canvas = Canvas(out, encrypt=StandardEncryption("", ownerPassword="owner", canPrint=0))
    canvas.drawString(72, 700, "health plan")
    canvas.save()
    assert texts(out.getvalue()) == ["health plan"]


def test_broken_files_are_refused() -> None:
    with pytest.raises(Damaged, match="damaged: not a readable PDF"):
        read_pdf(b"%PDF-1.7\nnothing follows")


def test_limits_on_pages_and_characters_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf_limits, "_MAX_PAGES", 2)
    with pytest.raises(Oversized, match="more than 2 pages: split it"):
        read_pdf(pdf_file([[(72, 100, "医改")]] * 3))
    monkeypatch.setattr(pdf_module, "_MAX_CHARS", 3)
    with pytest.raises(Oversized, match="more than 3 characters by page 2: split it"):
        read_pdf(pdf_file([[(72, 100, "医改")]] * 2))
