"""Rows that already are items: tagged from .jsonl and .parquet, other columns kept, memory flat."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import invented_rows
from documents import write

from train import cli
from train.errors import InputError, MissingExtra, RowError
from train.rows import Row, read_rows, write_rows
from train.tagging import Tagger, row_files
from train.tagging.row_files import find_row_files, tag_parquet, tag_row_files
from train.taxonomy import Taxonomy

ROWS = [{k: v for k, v in row.items() if k != "labels"} for row in invented_rows(3, 4)]


@pytest.fixture
def tagger(bundle: Path) -> Tagger:
    return Tagger.load(bundle)


def parquet(path: Path, rows: list[Row] = ROWS, **columns: Any) -> Path:
    table = pa.Table.from_pylist(rows)
    for name, column in columns.items():
        table = table.append_column(name, column)
    pq.write_table(table, path, row_group_size=5)
    return path


def yaodian(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str | Path
) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["yaodian", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return int(stop.value.code or 0), capsys.readouterr().err


@pytest.mark.parametrize("source", [".jsonl", ".parquet"])
@pytest.mark.parametrize("target", [".jsonl", ".parquet", ".csv", ".xlsx", ".html"])
def test_rows_are_tagged_from_and_into_every_format(
    source: str, target: str, bundle: Path, tagger: Tagger, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    path, out = tmp_path / f"rows{source}", tmp_path / f"out{target}"
    if source == ".jsonl":
        write_rows(path, ROWS)
    else:
        parquet(path)
    assert yaodian(monkeypatch, capsys, "tag", path, "-o", out, "--model", bundle) == (
        0,
        f"12 rows; written to {out}\n",
    )
    expected = tagger.tag_rows(ROWS)
    if target == ".jsonl":
        assert read_rows(out) == expected
    elif target == ".parquet":
        read = pq.read_table(out).to_pylist()
        assert [{k: r[k] for k in expected[0]} for r in read] == expected


def test_from_parquet_to_parquet_other_columns_keep_their_types_and_place(tagger: Tagger, tmp_path: Path) -> None:
    extra = {
        "id": pa.array(range(12), pa.uint64()),
        "labels": pa.array([["old"]] * 12),
        "seen": pa.array([True, None] * 6),
    }
    source = parquet(tmp_path / "in.parquet", **extra)
    assert tag_parquet([source, source], tmp_path / "out.parquet", tagger) == 24
    before, after = pq.read_table(source), pq.read_table(tmp_path / "out.parquet")
    assert after.schema.names == [*before.schema.names, "scores"]
    others = [name for name in before.schema.names if name != "labels"]
    assert after.select(others).equals(pa.concat_tables([before.select(others)] * 2))
    assert after["labels"].to_pylist() == [row["labels"] for row in tagger.tag_rows(ROWS)] * 2
    assert after.schema.field("scores").type == pa.struct(
        [(key, pa.float64()) for key in ("roads", "water", "schools")]
    )


def test_our_own_parquet_output_comes_back_as_the_rows_it_was_made_of(tagger: Tagger, tmp_path: Path) -> None:
    rows = [row | {"flags": ["???"], "id": 7} for row in ROWS]
    write_rows(tmp_path / "in.jsonl", rows)
    tag_row_files([tmp_path / "in.jsonl"], tmp_path / "a.parquet", tagger)
    tag_row_files([tmp_path / "a.parquet"], tmp_path / "b.jsonl", tagger)
    assert read_rows(tmp_path / "b.jsonl") == tagger.tag_rows(rows)


def test_a_folder_of_rows_is_taken_in_order_and_plans_beside_rows_are_refused(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    for name in ("year=2025/b.parquet", "year=2024/a.parquet", "_SUCCESS", ".crc/x"):
        write(lake, name, "")
    assert find_row_files([lake]) == [lake / "year=2024" / "a.parquet", lake / "year=2025" / "b.parquet"]
    plan = write(tmp_path, "甲.txt", "甲")
    assert find_row_files([plan]) == []
    with pytest.raises(
        InputError, match=r"甲\.txt: a plan beside rows such as .*a\.parquet; tag plans and rows apart$"
    ):
        find_row_files([lake, plan])
    write(lake, "甲.txt", "甲")
    assert find_row_files([lake]) == []


TEXT, PLAN = pa.array(["甲"]), pa.array(["乙"])


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"plan": PLAN}, "breaks the row contract: no column `text`"),
        ({"text": TEXT}, "breaks the row contract: no column `plan`"),
        ({"plan": PLAN, "text": pa.array([1])}, "`text` must be text, is int64"),
        ({"plan": PLAN, "text": TEXT, "path": TEXT}, "`path` must be a list of headings, is string"),
        ({"plan": PLAN, "text": pa.array([" "])}, "1 rows break the row contract: `text` must be text in row 1"),
        ({"plan": pa.array(["乙"] * 30), "text": pa.array([None] * 30, pa.string())}, "text in row 1, 2, .*, 20, and 10 more"),
        ({"plan": PLAN[:0], "text": TEXT[:0]}, "no rows"),
    ],
)  # fmt: skip
def test_columns_and_rows_that_break_the_contract_are_named(
    columns: dict[str, pa.Array], message: str, tagger: Tagger, tmp_path: Path
) -> None:
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    with pytest.raises(
        RowError, match=f"^{tmp_path / 'a.parquet'}: .*{message}$" if message != "no rows" else "no rows$"
    ):
        tag_parquet([tmp_path / "a.parquet"], tmp_path / "out.parquet", tagger)
    assert [p.name for p in tmp_path.iterdir()] == ["a.parquet"]


def test_text_as_a_dictionary_or_a_large_string_is_text(tagger: Tagger, tmp_path: Path) -> None:
    columns = {"plan": PLAN.dictionary_encode(), "text": pa.array(["修路"], pa.large_string())}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    tag_row_files([tmp_path / "a.parquet"], tmp_path / "out.jsonl", tagger)
    assert [(r["plan"], r["labels"]) for r in read_rows(tmp_path / "out.jsonl")] == [("乙", ["roads"])]


def test_files_that_are_no_parquet_or_differ_are_refused(tagger: Tagger, tmp_path: Path) -> None:
    good = parquet(tmp_path / "a.parquet")
    (tmp_path / "cut.parquet").write_bytes(good.read_bytes()[:-9])
    for name in ("cut.parquet", "gone.parquet"):
        with pytest.raises(RowError, match=f"{name}: (not a Parquet file, or damaged|cannot be read) \\("):
            tag_parquet([tmp_path / name], tmp_path / "out.parquet", tagger)
    other = parquet(tmp_path / "b.parquet", id=pa.array(range(12)))
    with pytest.raises(
        RowError, match=r"b\.parquet: has other columns, or of other types, than .*a\.parquet; tag them apart$"
    ):
        tag_parquet([good, other], tmp_path / "out.parquet", tagger)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.parquet", "b.parquet", "cut.parquet"]


def test_parquet_without_pyarrow_names_the_extra(
    tagger: Tagger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = parquet(tmp_path / "a.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(MissingExtra, match=r"pip install 'yaodian\[parquet\]'"):
        tag_row_files([source], tmp_path / "out.jsonl", tagger)


class Instant:
    """A tagger that takes no time."""

    def __init__(self, taxonomy: Taxonomy) -> None:
        self.bundle = type("Bundle", (), {"taxonomy": taxonomy})

    def tag_rows(self, rows: list[Row]) -> list[Row]:
        return [row | {"labels": [], "scores": dict.fromkeys(self.bundle.taxonomy.keys, 0.5)} for row in rows]


def test_memory_does_not_grow_with_the_number_of_rows(
    taxonomy: Taxonomy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_files, "_ROWS", 200)
    peaks = []
    for n_groups in (10, 100):
        table = pa.table({"plan": ["甲"] * 200, "text": [f"{n}" * 100 for n in range(200)]})
        source = tmp_path / "in.parquet"
        with pq.ParquetWriter(source, table.schema) as file:
            for _ in range(n_groups):
                file.write_table(table)
        pool = pa.proxy_memory_pool(pa.default_memory_pool())
        before = pa.default_memory_pool()
        pa.set_memory_pool(pool)
        try:
            n_rows = tag_parquet([source], tmp_path / "out.parquet", Instant(taxonomy))  # type: ignore[arg-type]
        finally:
            pa.set_memory_pool(before)
        assert n_rows == 200 * n_groups == pq.read_metadata(tmp_path / "out.parquet").num_rows
        peaks.append(pool.max_memory())
    assert peaks[1] < 1.5 * peaks[0]


def test_small_row_groups_come_out_as_large_ones(taxonomy: Taxonomy, tmp_path: Path) -> None:
    source = parquet(tmp_path / "in.parquet", ROWS * 10)
    assert pq.read_metadata(source).num_row_groups == 24
    tag_parquet([source], tmp_path / "out.parquet", Instant(taxonomy))  # type: ignore[arg-type]
    assert pq.read_metadata(tmp_path / "out.parquet").num_row_groups == 1


def test_a_bad_line_of_rows_is_named_and_nothing_is_written(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(tmp_path, "a.jsonl", json.dumps(ROWS[0]) + "\n{}\n")
    code, error = yaodian(monkeypatch, capsys, "tag", source, "-o", tmp_path / "o.jsonl", "--model", bundle)
    assert (code, error.count("\n")) == (2, 1)
    assert "1 rows break the row contract: a.jsonl line 2" in error
    assert [p.name for p in tmp_path.iterdir()] == ["a.jsonl"]
