import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from train import rows as module
from train.errors import RowError
from train.rows import plan_names, read_rows, write_rows
from train.taxonomy import Taxonomy

ROW = {"plan": "甲县.docx", "number": "1.", "path": ["一、道路"], "text": "修路", "units": "", "labels": ["roads"]}


def written(folder: Path, *lines: Any) -> Path:
    path = folder / "rows.jsonl"
    text = "\n".join(line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in lines)
    path.write_text(text, encoding="utf-8")
    return path


visible = st.text(min_size=1, max_size=20).filter(str.strip)
any_row = st.fixed_dictionaries(
    {"plan": visible, "number": st.text(max_size=5), "path": st.lists(st.text(max_size=9), max_size=3), "text": visible,
     "units": st.text(max_size=9)},
    optional={"labels": st.just(["water"]), "year": st.none() | st.integers(), "scores": st.just({"water": 0.5}), "我的列": visible},
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(any_row, min_size=1, max_size=4))
def test_rows_that_are_written_are_read_back_with_keys_of_their_own(tmp_path: Path, given_rows: list[Any]) -> None:
    write_rows(tmp_path / "rows.jsonl", given_rows)
    assert read_rows(tmp_path / "rows.jsonl") == given_rows


def test_line_separators_and_half_characters_inside_a_text_survive(tmp_path: Path) -> None:
    text = "甲\u2028乙\x85丙\x0b丁\ud800戊\r己"
    write_rows(tmp_path / "rows.jsonl", [ROW | {"text": text}])
    assert read_rows(tmp_path / "rows.jsonl")[0]["text"] == text
    path = written(tmp_path, json.dumps(ROW | {"text": "甲\u2028乙"}, ensure_ascii=False))
    assert read_rows(path)[0]["text"] == "甲\u2028乙"  # as other programs write it


def test_a_folder_gives_the_rows_of_all_its_files(tmp_path: Path) -> None:
    for name in ("b", "a"):
        write_rows(tmp_path / f"{name}.jsonl", [ROW | {"plan": name}])
    (tmp_path / "README.md").write_text("x")
    assert plan_names(read_rows(tmp_path)) == ["a", "b"]


def test_a_byte_order_mark_blank_lines_and_windows_line_ends_do_not_matter(tmp_path: Path) -> None:
    line = json.dumps(ROW, ensure_ascii=False).encode()
    (tmp_path / "rows.jsonl").write_bytes(b"\xef\xbb\xbf" + line + b"\r\n\r\n" + line + b"\r\n")
    assert read_rows(tmp_path / "rows.jsonl") == [ROW, ROW]


def test_no_labels_is_not_annotated_and_empty_labels_is_no_theme(tmp_path: Path) -> None:
    bare = {k: v for k, v in ROW.items() if k != "labels"}
    path = written(tmp_path, bare, ROW | {"labels": []})
    assert ["labels" in row for row in read_rows(path)] == [False, True]
    assert [row["labels"] for row in read_rows(path, annotated=True)] == [[]]
    with pytest.raises(RowError, match=r"no annotated rows; expected JSON Lines, one item a line"):
        read_rows(written(tmp_path, bare), annotated=True)


def test_labels_come_back_in_taxonomy_order_once(tmp_path: Path, taxonomy: Taxonomy) -> None:
    path = written(tmp_path, ROW | {"labels": ["schools", "roads", "schools"]})
    assert read_rows(path, taxonomy)[0]["labels"] == ["roads", "schools"]


def test_what_a_spreadsheet_made_of_number_and_units_is_text_again(tmp_path: Path) -> None:
    row = read_rows(written(tmp_path, {"plan": "a", "text": "b", "number": 12, "units": None}))[0]
    assert (row["number"], row["units"], row["path"]) == ("12", "", [])


def test_all_rows_with_an_unknown_theme_are_named_at_once(tmp_path: Path, taxonomy: Taxonomy) -> None:
    path = written(
        tmp_path, ROW, ROW | {"number": "2.", "labels": ["rods"]}, ROW | {"number": "3.", "labels": ["x", "y"]}
    )
    with pytest.raises(RowError) as stop:
        read_rows(path, taxonomy)
    assert str(stop.value) == (
        f"{path}: 2 rows break the row contract: "
        "rows.jsonl line 2: 甲县.docx 2.: unknown theme rods (the taxonomy has roads, water, schools); "
        "rows.jsonl line 3: 甲县.docx 3.: unknown theme x, y (the taxonomy has roads, water, schools)"
    )


def test_a_long_list_of_faults_ends_with_their_number(tmp_path: Path, taxonomy: Taxonomy) -> None:
    path = written(tmp_path, *(ROW | {"labels": ["x"]} for _ in range(30)))
    with pytest.raises(RowError, match=r"30 rows break the row contract: .*; and 10 more$"):
        read_rows(path, taxonomy)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"rows\.jsonl line 1: not JSON$"),
        ("[" * 100_000, "not JSON"),
        ("[1]", "not a JSON object"),
        ({"text": "a"}, "None: `plan` must be text"),
        (ROW | {"text": " "}, r"甲县\.docx 1\.: `text` must be text"),
        (ROW | {"text": 5}, "`text` must be text"),
        (ROW | {"plan": ["a\nb"]}, "`plan` must be text"),
        (ROW | {"path": "一"}, "`path` must be a list of headings"),
        (ROW | {"path": [1]}, "`path` must be a list of headings"),
        (ROW | {"labels": "roads"}, "`labels` must be a list of theme keys"),
        (ROW | {"labels": [1]}, "`labels` must be a list of theme keys"),
        (ROW | {"plan": "甲\n县", "labels": None}, "甲 县 1.: `labels` must"),
    ],
)
def test_rows_that_break_the_contract_are_named_in_one_line(tmp_path: Path, line: Any, message: str) -> None:
    with pytest.raises(RowError, match=message) as stop:
        read_rows(written(tmp_path, line))
    assert "\n" not in str(stop.value)


def test_files_that_cannot_be_read_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RowError, match=r"gold\.jsonl: no such file; expected item rows as JSON Lines"):
        read_rows(tmp_path / "gold.jsonl")
    with pytest.raises(RowError, match=r"no \.jsonl files in this folder"):
        read_rows(tmp_path)
    path = tmp_path / "gold.jsonl"
    path.write_bytes(json.dumps(ROW, ensure_ascii=False).encode("gb18030"))
    with pytest.raises(RowError, match="not UTF-8; save the rows as UTF-8"):
        read_rows(path)
    path.write_text("\n\n")
    with pytest.raises(RowError, match="no rows; expected JSON Lines"):
        read_rows(path)
    monkeypatch.setattr(module, "_MAX_BYTES", 1 << 20)
    path.write_bytes(b"\n" * (3 << 20))
    with pytest.raises(RowError, match=r"3 MiB, more than the 1 MiB read; split it"):
        read_rows(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(RowError, match=r"gold\.jsonl: cannot be read \(Is a directory\)"):
        read_rows(tmp_path)


def test_rows_from_elsewhere_are_grouped_by_a_key_of_their_own_or_stand_alone(tmp_path: Path) -> None:
    sentences = [{"document": 3, "text": "修路"}, {"document": 3, "text": "治河"}, {"document": 5, "text": "办学"}]
    path = written(tmp_path, *sentences)
    assert [r["plan"] for r in read_rows(path, plan_key="document")] == ["3", "3", "5"]
    assert [r["plan"] for r in read_rows(path, plan_key=None)] == ["rows 1", "rows 2", "rows 3"]
    with pytest.raises(RowError, match="`plan` must be text"):
        read_rows(path, plan_key="chapter")
