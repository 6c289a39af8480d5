"""Output files: same rows in every format, complete or not there at all, and nothing a spreadsheet would run."""

from __future__ import annotations

import csv
import errno
import gc
import json
import os
import re
import stat
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from train.errors import MissingExtra, OutputError
from train.rows import Row, read_rows
from train.tagging import writers
from train.tagging.writers import FORMATS, open_writer, sheets
from train.taxonomy import Taxonomy, Theme

THEMES = Taxonomy(
    (
        Theme("tcm", "中医药", "Traditional Chinese medicine", "中医机构", "#2ca02c"),
        Theme("reform", "医改", "Health-system reform", "体制改革", "#1f77b4"),
    )
)
ALL = sorted(FORMATS)
FORMULAS = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "  =1",
    "＝1+1",
    "＋1",
    "－1",
    "＠A1",
    "=cmd|' /C calc'!A0",
]


def row(**changes: Any) -> Row:
    base: Row = {
        "plan": "2023/甲.docx",
        "title": "甲市2023年卫生健康工作要点",
        "year": 2023,
        "issuer": "甲市卫生健康委员会",
        "number": "12",
        "path": ["一、深化医改", "(一)公立医院"],
        "text": "推进中医院薪酬制度改革。",
        "units": "(责任科室:医改科)",
        "labels": ["tcm", "reform"],
        "scores": {"tcm": 0.91239, "reform": 0.5},
    }
    return base | changes


def parsed(**changes: Any) -> Row:
    """A row of `yaodian items`: nothing tagged yet."""
    return {k: v for k, v in row(**changes).items() if k not in ("labels", "scores")}


def save(
    path: Path, *plans: list[Row], taxonomy: Taxonomy | None = THEMES, failures: tuple[tuple[str, str], ...] = ()
) -> Path:
    with open_writer(path, taxonomy, title="测试 test") as writer:
        for rows in plans:
            writer.write(rows)
        writer.failures += failures
    return path


def interrupted(path: Path) -> None:
    with open_writer(path, THEMES) as writer:
        writer.write([row()])
        raise KeyboardInterrupt


def csv_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def sheet_rows(path: Path, name: str = "条目 Items") -> list[dict[str, Any]]:
    head, *rest = openpyxl.load_workbook(path)[name].iter_rows(values_only=True)
    return [dict(zip(map(str, head), cells, strict=True)) for cells in rest]


# All formats


@pytest.mark.parametrize("extension", ALL)
def test_the_file_appears_only_when_the_block_ends(tmp_path: Path, extension: str) -> None:
    target = tmp_path / f"out{extension}"
    with open_writer(target, THEMES) as writer:
        writer.write([row()])
        assert not target.exists()
        assert [p.name for p in tmp_path.iterdir() if p.match(f".out{extension}.????????.part")]
    assert [p.name for p in tmp_path.iterdir()] == [target.name]


@pytest.mark.parametrize("suffix", ALL)
def test_the_same_rows_give_the_same_bytes_whenever_they_are_written(tmp_path: Path, suffix: str) -> None:
    first = save(tmp_path / f"a{suffix}", [row(), parsed()], [row(labels=[])]).read_bytes()
    time.sleep(1.1 if suffix == ".xlsx" else 0)  # its properties hold a date, to the second
    assert save(tmp_path / f"b{suffix}", [row(), parsed()], [row(labels=[])]).read_bytes() == first


@pytest.mark.parametrize("extension", ALL)
def test_an_exception_leaves_nothing_behind_and_the_old_file_alone(tmp_path: Path, extension: str) -> None:
    target = tmp_path / f"out{extension}"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        interrupted(target)
    assert [p.name for p in tmp_path.iterdir()] == [target.name]
    assert target.read_text() == "old"


@pytest.mark.parametrize("extension", ALL)
def test_a_disk_that_fills_up_is_one_line_and_leaves_nothing_behind(
    tmp_path: Path, extension: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    target = tmp_path / f"out{extension}"
    with pytest.raises(
        OutputError, match=r"out\.\w+: cannot be written, the disk is full; free some space or choose another disk"
    ):
        save(target, [row()])
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="limits on file size are POSIX")
@pytest.mark.parametrize("extension", ALL)
def test_a_write_that_fails_midway_leaves_nothing_behind(tmp_path: Path, extension: str) -> None:
    import random
    import resource

    noise = random.Random(0)
    rows = [row(text="".join(chr(noise.randrange(0x4E00, 0x9FA5)) for _ in range(400))) for _ in range(200)]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        with pytest.raises(
            OutputError, match=r"out\.\w+: cannot be written, .*too large; choose another name or folder"
        ):
            save(tmp_path / f"out{extension}", rows)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    gc.collect()  # what is left open complains now
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("extension", ALL)
def test_no_rows_still_make_a_valid_file(tmp_path: Path, extension: str) -> None:
    path = save(tmp_path / f"out{extension}")
    match extension:
        case ".jsonl":
            assert path.read_bytes() == b""
        case ".csv":
            assert csv_rows(path) == []
        case ".xlsx":
            assert sheet_rows(path) == []
        case ".parquet":
            assert pq.read_table(path).num_rows == 0
        case ".html":
            assert path.read_text(encoding="utf-8").endswith("</html>\n")


@pytest.mark.parametrize("extension", ALL)
def test_characters_no_file_can_hold_do_not_stop_the_output(tmp_path: Path, extension: str) -> None:
    bad = "甲\x00\x0b\x1f\ud800乙\ufffe\u2028𠀀"
    save(
        tmp_path / f"out{extension}",
        [row(plan=bad, title=bad, text=bad, path=[bad], units=bad, number=bad, flags=[bad])],
    )


def test_an_unknown_extension_lists_the_known_ones(tmp_path: Path) -> None:
    listed = r"name the output \.jsonl, \.csv, \.xlsx, \.parquet or \.html$"
    with pytest.raises(OutputError, match=r"out\.docx: unknown format \.docx; " + listed):
        open_writer(tmp_path / "out.docx", THEMES)
    with pytest.raises(OutputError, match=r"out: no extension tells the format; " + listed):
        open_writer(tmp_path / "out", THEMES)


def test_the_extension_may_be_in_capitals(tmp_path: Path) -> None:
    assert csv_rows(save(tmp_path / "OUT.CSV", [row()]))[0]["number"] == "12"


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"a\.csv: the folder .*nowhere does not exist; create it or choose another"):
        open_writer(tmp_path / "nowhere" / "a.csv", THEMES)


def test_a_folder_is_no_output(tmp_path: Path) -> None:
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(OutputError, match=r"a\.csv: is a folder; give the name of a file in it"):
        open_writer(tmp_path / "a.csv", THEMES)


def test_a_file_held_open_elsewhere_is_said_before_the_first_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def held(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    (tmp_path / "a.xlsx").write_bytes(b"old")
    monkeypatch.setattr(Path, "open", held)
    with pytest.raises(
        OutputError,
        match=r"a\.xlsx: cannot be written, no permission, or the file is open in another program; close it",
    ):
        open_writer(tmp_path / "a.xlsx", THEMES).__enter__()


def test_a_name_that_is_too_long_is_said(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot be written, the name is too long; choose a shorter one"):
        save(tmp_path / f"{'长' * 90}.csv", [row()])


def test_a_long_chinese_name_leaves_room_for_the_mark_of_the_unfinished_file(tmp_path: Path) -> None:
    assert save(tmp_path / f"{'长' * 80}.csv", [row()]).exists()


def test_a_writer_takes_rows_inside_its_block_only(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a writer takes rows inside its `with` block only"):
        open_writer(tmp_path / "a.csv", THEMES).write([row()])


@pytest.mark.skipif(sys.platform == "win32", reason="modes and links are POSIX")
def test_the_file_keeps_its_mode_and_a_link_its_target(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    old = tmp_path / "there" / "old.csv"
    old.write_text("old")
    old.chmod(0o664)
    link = tmp_path / "link.csv"
    link.symlink_to(old)
    save(link, [row()])
    assert link.is_symlink()
    assert len(csv_rows(old)) == 1
    assert stat.S_IMODE(old.stat().st_mode) == 0o664


@pytest.mark.skipif(sys.platform == "win32", reason="modes are POSIX")
def test_a_new_file_can_be_read_by_colleagues(tmp_path: Path) -> None:
    mask = os.umask(0o022)
    try:
        assert stat.S_IMODE(save(tmp_path / "a.csv", [row()]).stat().st_mode) == 0o644
    finally:
        os.umask(mask)


# JSON Lines

_any_text = st.text(st.characters(blacklist_categories=[]), min_size=1).filter(str.strip)


@settings(max_examples=60, deadline=None)
@given(text=_any_text, extra=st.dictionaries(st.text(min_size=1).map("x_".__add__), _any_text, max_size=2))
def test_jsonl_reads_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, text: str, extra: dict[str, str]) -> None:
    path = tmp_path_factory.mktemp("rows") / "a.jsonl"
    rows = [row(text=text) | extra, row(number="13", labels=[])]
    assert read_rows(save(path, rows), THEMES) == rows


# CSV


def test_csv_has_the_contract_columns_then_themes_then_scores_then_extra(tmp_path: Path) -> None:
    path = save(tmp_path / "a.csv", [row(flags=["�"])], [row(labels=[], scores={})])
    first, second = csv_rows(path)
    assert first == {
        "plan": "2023/甲.docx",
        "title": "甲市2023年卫生健康工作要点",
        "year": "2023",
        "issuer": "甲市卫生健康委员会",
        "number": "12",
        "path": "一、深化医改 > (一)公立医院",
        "text": "推进中医院薪酬制度改革。",
        "units": "(责任科室:医改科)",
        "labels": "tcm;reform",
        "tcm": "1",
        "reform": "1",
        "score_tcm": "0.912",
        "score_reform": "0.500",
        "extra": '{"flags": ["�"]}',
    }
    assert {second[k] for k in ("labels", "tcm", "reform", "score_tcm", "score_reform", "extra")} == {""}


def test_csv_is_utf8_with_a_mark_and_ends_lines_as_excel_wants(tmp_path: Path) -> None:
    data = save(tmp_path / "a.csv", [row(text='他说"好",\n第二行')]).read_bytes()
    assert data.startswith(b"\xef\xbb\xbfplan,title,year,")
    assert data.count(b"\r\n") == 2
    assert '"他说""好"",\n第二行"'.encode() in data


@pytest.mark.parametrize("column", ["plan", "title", "issuer", "number", "text", "units", "path"])
@pytest.mark.parametrize("formula", FORMULAS)
def test_csv_never_begins_a_cell_with_a_formula(tmp_path: Path, formula: str, column: str) -> None:
    value = [formula] if column == "path" else formula
    assert csv_rows(save(tmp_path / "a.csv", [row(**{column: value})]))[0][column] == "'" + formula


def test_no_cell_of_csv_begins_with_a_formula_whatever_the_row_says(tmp_path: Path) -> None:
    for formula in FORMULAS:
        strange = row(**dict.fromkeys(("plan", "title", "issuer", "number", "text", "units"), formula))
        strange |= {"path": [formula], "labels": [formula], formula: formula, "scores": {formula: 0.5}}
        for line in csv_rows(save(tmp_path / "a.csv", [strange])):
            assert not [cell for cell in line.values() if re.match(r"\s*[=+\-@＝＋－＠]|[\t\r\n]", cell)]


def test_no_cell_of_excel_is_a_formula_or_a_link_whatever_the_row_says(tmp_path: Path) -> None:
    for formula in [*FORMULAS, "http://example.org", "mailto:a@example.org", "file:///c:/x", "internal:'A'!A1"]:
        strange = row(**dict.fromkeys(("plan", "title", "year", "issuer", "number", "text", "units"), formula))
        strange |= {"path": [formula], "labels": [formula], formula: formula, "scores": {formula: 0.5}}
        path = save(tmp_path / "a.xlsx", [strange], failures=((formula, formula),))
        with zipfile.ZipFile(path) as parts:
            for name in parts.namelist():
                assert not re.search(rb"<f>|<hyperlink|TargetMode", parts.read(name))


def test_csv_leaves_text_with_signs_inside_alone(tmp_path: Path) -> None:
    assert csv_rows(save(tmp_path / "a.csv", [row(text="2020-2025年=五年@甲")]))[0]["text"] == "2020-2025年=五年@甲"


def test_what_has_no_column_of_its_own_goes_to_extra(tmp_path: Path) -> None:
    strange = row(year="去年", scores={"tcm": 0.9, "other": 0.4}, note="备注")
    line = csv_rows(save(tmp_path / "a.csv", [strange]))[0]
    assert line["year"] == ""
    assert json.loads(line["extra"]) == {"note": "备注", "year": "去年", "scores": {"other": 0.4}}


def test_without_a_taxonomy_csv_has_no_theme_columns_and_loses_no_scores(tmp_path: Path) -> None:
    plain, tagged = csv_rows(save(tmp_path / "a.csv", [parsed(), row()], taxonomy=None))
    assert list(plain) == ["plan", "title", "year", "issuer", "number", "path", "text", "units", "labels", "extra"]
    assert (plain["labels"], plain["extra"]) == ("", "")
    assert (tagged["labels"], json.loads(tagged["extra"])) == ("tcm;reform", {"scores": row()["scores"]})


# Parquet


def test_parquet_is_typed_and_tells_no_theme_from_not_labelled(tmp_path: Path) -> None:
    rows = [row(flags=["�"]), row(labels=[], scores={"tcm": 0.1}), parsed(year=None, issuer=None)]
    table = pq.read_table(save(tmp_path / "a.parquet", rows[:1], rows[1:]))
    types = {field.name: field.type for field in table.schema}
    assert (types["year"], types["path"], types["labels"]) == (pa.int32(), pa.list_(pa.string()), pa.list_(pa.string()))
    assert types["scores"] == pa.struct([("tcm", pa.float64()), ("reform", pa.float64())])
    first, none, unlabelled = table.to_pylist()
    assert first == row() | {"extra": '{"flags": ["�"]}'}
    assert (none["labels"], none["scores"], none["extra"]) == ([], {"tcm": 0.1, "reform": None}, None)
    assert [unlabelled[k] for k in ("labels", "scores", "year", "issuer")] == [None] * 4


def test_parquet_joins_plans_into_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from train.tagging.writers import parquet

    monkeypatch.setattr(parquet, "_ROWS_IN_GROUP", 4)
    file = pq.ParquetFile(save(tmp_path / "a.parquet", *[[row(), row()] for _ in range(5)]))
    assert [file.metadata.row_group(at).num_rows for at in range(file.num_row_groups)] == [4, 4, 2]
    file.close()


# Excel


def test_excel_has_chinese_headings_names_and_typed_cells(tmp_path: Path) -> None:
    path = save(tmp_path / "a.xlsx", [row(flags=["�"]), row(labels=[], scores={}), parsed()])
    first, none, unlabelled = sheet_rows(path)
    assert first == {
        "计划": "2023/甲.docx",
        "标题": "甲市2023年卫生健康工作要点",
        "年份": 2023,
        "发文单位": "甲市卫生健康委员会",
        "编号": "12",
        "标题路径": "一、深化医改 > (一)公立医院",
        "内容": "推进中医院薪酬制度改革。",
        "责任单位": "(责任科室:医改科)",
        "主题": "中医药、医改",
        "中医药": 1,
        "医改": 1,
        "中医药分数": 0.912,
        "医改分数": 0.5,
        "其他": '{"flags": ["�"]}',
    }
    assert [none[k] for k in ("主题", "中医药", "中医药分数")] == ["无主题", None, None]
    assert unlabelled["主题"] is None


def test_excel_colours_themes_freezes_the_heading_and_filters_all_rows(tmp_path: Path) -> None:
    sheet = openpyxl.load_workbook(save(tmp_path / "a.xlsx", [row(), row()]))["条目 Items"]
    assert (sheet.freeze_panes, sheet.auto_filter.ref) == ("A2", "A1:N3")
    assert (sheet["J2"].fill.fgColor.rgb, sheet["J2"].font.color.rgb) == ("FF2CA02C", "FF000000")
    assert sheet["K2"].font.color.rgb == "FFFFFFFF"
    assert sheet["G2"].alignment.wrap_text
    assert 24 <= sheet.column_dimensions["G"].width <= 30  # twelve Chinese characters and room for the filter button


def test_excel_hides_columns_this_file_has_no_use_for(tmp_path: Path) -> None:
    def hidden(*rows: Row) -> str:
        sheet = openpyxl.load_workbook(save(tmp_path / "a.xlsx", list(rows)))["条目 Items"]
        spans = [(d.min, d.max) for d in sheet.column_dimensions.values() if d.hidden]
        names = [str(cell.value) for cell in sheet[1]]
        return " ".join(names[at - 1] for low, high in spans for at in range(low, high + 1))

    assert hidden(row(flags=["x"])) == ""
    assert hidden(row()) == "其他"
    assert hidden(parsed()) == "主题 中医药分数 医改分数 其他"


@pytest.mark.parametrize("formula", [*FORMULAS, "{=1}", "https://example.org", "<r><t>x</t></r>", "_x0041_", "123"])
def test_excel_gets_text_as_text(tmp_path: Path, formula: str) -> None:
    path = save(tmp_path / "a.xlsx", [row(text=formula, title=formula)], failures=((formula, formula),))
    book = openpyxl.load_workbook(path)
    shown = formula.replace("\r", "\n").strip()
    for cell in (book["条目 Items"]["G2"], book["汇总 Summary"]["B2"], book["未读取 Not read"]["A2"]):
        assert cell.data_type in ("s", "inlineStr")
        assert openpyxl.utils.escape.unescape(str(cell.value)).strip() == shown
        assert cell.hyperlink is None
    with zipfile.ZipFile(path) as parts:
        assert not any(b"<f>" in parts.read(name) for name in parts.namelist())


def test_excel_sums_up_plans_by_themes(tmp_path: Path) -> None:
    tagged = [row(), row(labels=["tcm"]), row(labels=[]), row(labels=[])]
    path = save(tmp_path / "a.xlsx", tagged, [parsed(plan="乙.pdf", title=None)])
    first, second, total = sheet_rows(path, "汇总 Summary")
    assert list(first.values()) == ["2023/甲.docx", "甲市2023年卫生健康工作要点", 4, 2, 1, 2, 0.5]
    assert list(second.values()) == ["乙.pdf", None, 1, 0, 0, 0, None]
    assert list(total.values()) == ["合计 Total", "2 份计划 plans", 5, 2, 1, 2, 0.5]
    assert list(first) == ["计划", "标题", "条目数", "中医药", "医改", "无主题", "无主题占比"]
    assert openpyxl.load_workbook(path)["汇总 Summary"].auto_filter.ref == "A1:G3"  # sorting leaves the total below


def test_excel_lists_what_was_not_read_only_if_there_is_something(tmp_path: Path) -> None:
    assert "未读取 Not read" not in openpyxl.load_workbook(save(tmp_path / "a.xlsx", [row()])).sheetnames
    path = save(tmp_path / "b.xlsx", [row()], failures=(("扫描.pdf", "没有文字"),))
    assert openpyxl.load_workbook(path).sheetnames == ["条目 Items", "汇总 Summary", "未读取 Not read"]
    assert sheet_rows(path, "未读取 Not read") == [{"文件": "扫描.pdf", "原因": "没有文字"}]


def test_excel_without_a_taxonomy_has_no_theme_columns(tmp_path: Path) -> None:
    path = save(tmp_path / "a.xlsx", [parsed()], taxonomy=None)
    assert list(sheet_rows(path)[0]) == [
        "计划",
        "标题",
        "年份",
        "发文单位",
        "编号",
        "标题路径",
        "内容",
        "责任单位",
        "主题",
        "其他",
    ]
    assert list(sheet_rows(path, "汇总 Summary")[0]) == ["计划", "标题", "条目数"]


def test_excel_continues_on_another_sheet_when_one_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheets, "MAX_ROWS", 3)
    path = save(tmp_path / "a.xlsx", [row(number=str(n)) for n in range(5)])
    assert openpyxl.load_workbook(path).sheetnames[:4] == ["条目 Items", "条目 Items 2", "条目 Items 3", "汇总 Summary"]
    numbers = [
        line["编号"] for name in ("条目 Items", "条目 Items 2", "条目 Items 3") for line in sheet_rows(path, name)
    ]
    assert numbers == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize("character", ["长", "𠀀"])
def test_excel_cuts_a_cell_at_its_limit_and_says_so(tmp_path: Path, character: str) -> None:
    path = save(tmp_path / "a.xlsx", [row(text="a" + character * 40_000), row(text="b" * 32_767)])
    cut, whole = (line["内容"] for line in sheet_rows(path))
    assert 32_760 < sheets.utf16_units(cut) <= 32_767
    assert cut.endswith(character + "…(过长,已截断 cut)")
    assert whole == "b" * 32_767
    notes = [str(line["计划"]) for line in sheet_rows(path, "汇总 Summary")][-2:]
    assert notes[0] == "1 个单元格超过 Excel 的长度上限,已截断;全文请输出为 .jsonl 或 .parquet"
    assert notes[1] == "1 cells cut at Excel's limit; write .jsonl or .parquet for the full text"


def test_excel_takes_no_more_memory_for_more_plans(tmp_path: Path) -> None:
    import tracemalloc

    def peak(n_plans: int) -> int:
        tracemalloc.start()
        save(tmp_path / "a.xlsx", *([row(plan="甲")] * 50 for _ in range(n_plans)))
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(2)  # imports and caches
    assert peak(60) < peak(20) + 300_000  # 2,000 more rows held would take megabytes


def test_excel_leaves_no_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tempfile

    (tmp_path / "temp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temp"))
    save(tmp_path / "a.xlsx", [row()])
    with pytest.raises(KeyboardInterrupt):
        interrupted(tmp_path / "b.xlsx")
    assert not list((tmp_path / "temp").iterdir())


def test_every_format_is_named_in_the_package_description() -> None:
    assert set(re.findall(r"\.[a-z]+", writers.__doc__ or "")) == set(FORMATS)


def test_parquet_without_its_packages_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    message = r"^\.parquet: packages are not installed; type: pip install 'yaodian\[parquet\]'$"
    with pytest.raises(MissingExtra, match=message), open_writer(tmp_path / "o.parquet", None):
        pass
    assert not list(tmp_path.iterdir())
