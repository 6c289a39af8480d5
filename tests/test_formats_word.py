import struct

import pytest
from documents import (
    W,
    abstract,
    level,
    num,
    package,
    paragraph,
    relations,
    run,
    saved_page,
    style,
    word_file,
    word_parts,
    word_table,
)

from train.plans.formats import word_package
from train.plans.formats.refusals import Damaged, Locked, Oversized
from train.plans.formats.word import read_docx
from train.plans.lines import Line


def texts(body: str, **parts: str) -> list[str]:
    return [line.text for line in read_docx(word_file(body, **parts))]


def test_paragraphs_tables_and_content_controls_come_in_document_order() -> None:
    control = f"<w:sdt><w:sdtPr/><w:sdtContent>{paragraph('控件')}</w:sdtContent></w:sdt>"
    table = word_table([["序号", "重点任务", "责任单位"], ["1", "医共体", "医改科"]])
    assert texts(paragraph("前") + control + table + paragraph("后")) == [
        "前",
        "控件",
        "1.医共体(责任单位:医改科)",
        "后",
    ]


def test_runs_breaks_tabs_and_symbols_become_text() -> None:
    body = "<w:r><w:t>甲</w:t><w:tab/><w:t>乙</w:t><w:br/><w:t>丙</w:t><w:noBreakHyphen/><w:t>丁</w:t></w:r>"
    body += '<w:r><w:sym w:font="Wingdings" w:char="F0A8"/><w:sym w:char="2460"/></w:r>'
    assert texts(paragraph(body)) == ["甲 乙", "丙-丁①"]


def test_tracked_changes_are_read_as_accepted() -> None:
    body = (
        run("推进")
        + f"<w:ins>{run('县域')}</w:ins><w:del><w:r><w:delText>城市</w:delText></w:r></w:del>"
        + f"<w:moveFrom>{run('旧处')}</w:moveFrom><w:moveTo>{run('医共体')}</w:moveTo>"
    )
    assert texts(paragraph(body)) == ["推进县域医共体"]


def test_a_paragraph_whose_end_is_deleted_runs_into_the_next() -> None:
    deleted = "<w:rPr><w:del/></w:rPr>"
    assert texts(paragraph("推进", extra=deleted) + paragraph("医改") + paragraph("尾", extra=deleted)) == [
        "推进医改",
        "尾",
    ]


def test_deleted_table_rows_are_left_out() -> None:
    row = f"<w:tr><w:trPr><w:del/></w:trPr><w:tc>{paragraph('旧')}</w:tc><w:tc>{paragraph('行')}</w:tc></w:tr>"
    table = word_table([["甲", "乙"]]).replace("</w:tbl>", row + "</w:tbl>")
    assert texts(table) == ["甲 乙"]


def test_links_fields_formulas_and_readings_keep_what_is_shown() -> None:
    body = (
        f"<w:hyperlink>{run('链接')}</w:hyperlink><w:r><w:instrText>PAGE</w:instrText></w:r><w:fldSimple>{run('域')}</w:fldSimple>"
        "<m:oMath><m:r><m:t>x</m:t></m:r></m:oMath>"
        f"<w:r><w:ruby><w:rt>{run('wèi')}</w:rt><w:rubyBase>{run('卫')}</w:rubyBase></w:ruby></w:r>"
    )
    assert texts(paragraph(body)) == ["链接域x卫"]


def test_hidden_text_and_hidden_paragraphs_are_left_out() -> None:
    hidden = "<w:vanish/>"
    shown = '<w:vanish w:val="0"/>'
    body = (
        paragraph(run("隐", hidden) + run("显", shown))
        + paragraph("", 1, 0, extra=f"<w:rPr>{hidden}</w:rPr>")
        + paragraph("一", 1, 0)
    )
    numbering = abstract(0, level(0, "decimal", "%1.")) + num(1, 0)
    assert texts(body, numbering=numbering) == ["显", "1.一"]


def test_a_text_box_is_read_once_after_its_paragraph() -> None:
    box = f"<w:txbxContent>{paragraph('框')}</w:txbxContent>"
    shape = (
        f'<w:r><mc:AlternateContent><mc:Choice Requires="wps"><w:drawing><wps:txbx>{box}</wps:txbx></w:drawing></mc:Choice>'
        f"<mc:Fallback><w:pict><v:textbox>{box}</v:textbox></w:pict></mc:Fallback></mc:AlternateContent></w:r>"
    )
    old = f"<w:r><w:pict><v:textbox>{box}</v:textbox></w:pict></w:r>"
    empty = "<w:r><w:drawing><mc:AlternateContent/></w:drawing></w:r>"
    assert texts(paragraph(run("文") + shape) + paragraph(old) + paragraph(empty)) == ["文", "框", "框"]


def test_headings_come_from_styles_and_outline_levels() -> None:
    styles = (
        style("1", "heading 1")
        + style("2", "标题 2")
        + style("3", "公文三级", properties='<w:outlineLvl w:val="2"/>')
        + style("4", "我的", "3")
        + style("5", "Title")
        + style("6", "正文缩进", properties='<w:outlineLvl w:val="9"/>')
    )
    body = "".join(paragraph(f"题{i}", style=str(i)) for i in range(1, 7))
    body += paragraph("自定", extra='<w:outlineLvl w:val="3"/>') + paragraph("长" * 101, style="1")
    assert [line.heading for line in read_docx(word_file(body, styles=styles))] == [1, 2, 3, 3, 1, 0, 4, 0]


def test_the_default_style_counts_for_paragraphs_that_name_none() -> None:
    styles = style("d", "heading 4", extra='w:default="1"')
    assert read_docx(word_file(paragraph("题"), styles=styles)) == [Line("题", 4)]


def test_a_table_of_contents_is_left_out() -> None:
    styles = style("10", "toc 1")
    gallery = '<w:sdtPr><w:docPartObj><w:docPartGallery w:val="Table of Contents"/></w:docPartObj></w:sdtPr>'
    body = f"<w:sdt>{gallery}<w:sdtContent>{paragraph('目录')}</w:sdtContent></w:sdt>" + paragraph(
        "一、医改 1", style="10"
    )
    assert texts(body + paragraph("一、医改"), styles=styles) == ["一、医改"]


def test_merged_cells_are_said_once() -> None:
    first = f'<w:tcPr><w:vMerge w:val="restart"/></w:tcPr>{paragraph("公共卫生")}'
    more = f"<w:tcPr><w:vMerge/></w:tcPr>{paragraph()}"
    title = f'<w:tcPr><w:gridSpan w:val="3"/></w:tcPr>{paragraph("任务分解表")}'
    table = word_table([[title], ["类别", "序号", "任务"], [first, "1", "接种"], [more, "2", "筛查"]])
    assert texts(table) == ["任务分解表", "公共卫生", "1.接种", "2.筛查"]


def test_a_column_of_automatic_numbers_counts_the_rows() -> None:
    numbering = abstract(0, level(0, "decimal", "%1")) + num(1, 0)
    table = word_table([["序号", "任务"], [paragraph("", 1, 0), "接种"], [paragraph("", 1, 0), "筛查"]])
    assert texts(table, numbering=numbering) == ["1.接种", "2.筛查"]


def test_a_table_of_one_column_frames_its_text_and_a_nested_one_is_read() -> None:
    styles = style("1", "heading 1")
    framed = word_table([[paragraph("题", style="1") + paragraph("文")]])
    assert read_docx(word_file(framed, styles=styles)) == [Line("题", 1), Line("文")]
    nested = word_table([["左", "<w:tcPr/>" + word_table([["里"]]) + paragraph("外")]])
    assert texts(nested) == ["左 里 外"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("word/a.mht", saved_page("<p>一、医改</p>")),
        ("word/a.html", "<p>一、医改</p>"),
        ("word/a.txt", "一、医改".encode("gb18030")),
    ],
)
def test_a_page_put_in_whole_by_a_converter_is_read(name: str, content: str | bytes) -> None:
    parts = word_parts('<w:altChunk r:id="c"/>' + paragraph("后"))
    parts["word/_rels/document.xml.rels"] = relations(("c", "aFChunk", name.removeprefix("word/")))
    assert [line.text for line in read_docx(package(parts | {name: content}))] == ["一、医改", "后"]


def test_strict_files_with_other_namespaces_and_part_names_are_read() -> None:
    parts = word_parts(paragraph("医改"))
    document = str(parts.pop("word/document.xml")).replace(W, "http://purl.oclc.org/ooxml/wordprocessingml/main")
    parts["word/document2.xml"] = document
    parts["_rels/.rels"] = relations(("r", "officeDocument", "/word/document2.xml"))
    assert [line.text for line in read_docx(package(parts))] == ["医改"]


def test_a_file_without_styles_numbers_or_relations_is_read() -> None:
    parts = {"word/document.xml": word_parts(paragraph("医改", 1, 0, "x"))["word/document.xml"]}
    assert read_docx(package(parts)) == [Line("医改")]


# ── Damaged and hostile packages ──────────────────────────────────────────────────────────────────────────────────────


def test_a_damaged_zip_is_refused() -> None:
    with pytest.raises(Damaged, match="damaged: its zip directory cannot be read; copy or download the file again"):
        read_docx(word_file(paragraph("医改"))[:-40])


def test_a_part_that_cannot_be_unpacked_is_refused() -> None:
    raw = package(word_parts(paragraph("医改")), compression=0).replace("医改".encode(), b"xxxxxx")
    with pytest.raises(Damaged, match=r"damaged: word/document\.xml cannot be unpacked"):
        read_docx(raw)


def test_a_package_without_a_document_is_refused() -> None:
    with pytest.raises(Damaged, match=r"not a Word document: there is no word/document\.xml inside"):
        read_docx(package({"a.txt": "x"}))


def test_xml_that_is_not_well_formed_is_refused() -> None:
    with pytest.raises(Damaged, match=r"damaged: word/document\.xml is not valid XML"):
        read_docx(word_file("<w:p>"))


@pytest.mark.parametrize("codec", ["utf-8", "utf-16"])
def test_a_document_type_is_refused(codec: str) -> None:
    parts = word_parts(paragraph("&a;"))
    entity = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
    parts["word/document.xml"] = (entity + str(parts["word/document.xml"])).encode(codec)
    with pytest.raises(Damaged, match=r"refused: word/document\.xml declares a document type, which no Word file does"):
        read_docx(package(parts))


def test_a_zip_bomb_is_refused() -> None:
    with pytest.raises(Damaged, match=r"a zip bomb: word/media/a\.bin unpacks more than 200 : 1"):
        read_docx(package(word_parts("") | {"word/media/a.bin": bytes(9 << 20)}))


def test_too_much_content_and_too_many_parts_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_package, "_MAX_TOTAL", 1 << 20)
    with pytest.raises(Oversized, match="unpacks to 2 MiB, more than the 1 MiB read; remove the pictures"):
        read_docx(package(word_parts("") | {"word/media/a.bin": bytes(2 << 20)}))
    monkeypatch.setattr(word_package, "_MAX_ENTRIES", 3)
    with pytest.raises(Oversized, match="6 parts inside, more than the 3 read"):
        read_docx(word_file(""))


def test_a_zip_with_a_password_is_refused() -> None:
    raw = bytearray(word_file(paragraph("医改")))
    at = raw.index(b"PK\x01\x02")
    struct.pack_into("<H", raw, at + 8, 1)
    with pytest.raises(Locked, match="asks for a password: open it in Word or WPS, remove the password, save it again"):
        read_docx(bytes(raw))
