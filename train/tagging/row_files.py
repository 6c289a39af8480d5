"""Files of item rows in, the same rows tagged out: .jsonl and .parquet, a few thousand rows at a time.

From Parquet to Parquet every other column stays as it is, with its type; `labels` and `scores` are added, or replaced in their place.
Elsewhere keys beyond the row contract go where the output format keeps them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from train.errors import InputError, MissingExtra, RowError, listed
from train.rows import Row, stream_rows
from train.tagging.tagger import Tagger
from train.tagging.writers import open_writer
from train.tagging.writers.part import PartFile, reported

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIXES = (".jsonl", ".parquet")
# Rows in memory at a time and in a row group: enough to sort by length, some ten megabytes.
_ROWS = 8192


def find_row_files(paths: Sequence[Path]) -> list[Path]:
    """The files of rows that paths stand for, in order; none where the paths are plans.

    A folder stands for the files at any depth, if all of them are files of rows; names that begin with `.` or `_` are passed over.

    Raises:
        InputError: files of rows beside plans.
    """
    kinds = [(path, _row_files(Path(path))) for path in paths]
    found = [file for _, files in kinds for file in files]
    plans = [path for path, files in kinds if not files]
    if found and plans:
        raise InputError(plans[0], f"a plan beside rows such as {found[0]}; tag plans and rows apart")
    return list(dict.fromkeys(found))


def _row_files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path] if path.suffix.lower() in SUFFIXES and path.is_file() else []
    files: list[Path] = []
    for folder, folders, names in os.walk(path):
        folders[:] = [name for name in folders if not name.startswith((".", "_"))]
        files += [Path(folder, name) for name in names if not name.startswith((".", "_"))]
    return sorted(files) if all(file.suffix.lower() in SUFFIXES for file in files) else []


def tag_row_files(files: Sequence[Path], output: Path, tagger: Tagger) -> int:
    """Tags all rows into one output.

    Returns:
        How many rows.

    Raises:
        RowError: rows that break the contract, files that are not what their names say, or Parquet files with different columns.
        OutputError: the output cannot be written.
        MissingExtra: Parquet without pyarrow.
    """
    if output.suffix.lower() == ".parquet" and all(file.suffix.lower() == ".parquet" for file in files):
        return tag_parquet(files, output, tagger)
    n_rows = 0
    with open_writer(output, tagger.bundle.taxonomy, title="卫生健康工作要点条目主题") as writer:
        for file in files:
            parquet = file.suffix.lower() == ".parquet"
            for rows in _chunks(_parquet_rows(file) if parquet else stream_rows(file)):
                writer.write(tagger.tag_rows(rows))
                n_rows += len(rows)
    return n_rows


def tag_parquet(files: Sequence[Path], output: Path, tagger: Tagger) -> int:
    """As `tag_row_files`, from Parquet to Parquet: every column but `labels` and `scores` stays as it is."""
    pq = _pyarrow_parquet()
    n_rows, writer, schema = 0, None, None
    with reported(output):
        part = PartFile(output)
    try:
        for file in files:
            for table in _tables(file):
                if schema is None:
                    schema = table.schema
                elif not table.schema.equals(schema):
                    raise RowError(f"{file}: has other columns, or of other types, than {files[0]}; tag them apart")
                tagged = _tagged(table, file, n_rows, tagger)
                with reported(output):
                    writer = writer or pq.ParquetWriter(part.file, tagged.schema)
                    writer.write_table(tagged)
                n_rows += len(table)
        if writer is None:
            raise RowError(f"{files[0]}: no rows")
        with reported(output):
            writer.close()
            part.commit()
    finally:
        if writer is not None:
            writer.is_open = False  # pyarrow would try to close it when it is long gone
        part.discard()
    return n_rows


def _tagged(table: pa.Table, file: Path, start: int, tagger: Tagger) -> pa.Table:
    import pyarrow as pa

    keys = tagger.bundle.taxonomy.keys
    tagged = tagger.tag_rows(_items(table, file, start))
    scores = pa.struct([(key, pa.float64()) for key in keys])
    columns = {
        "labels": pa.array([row["labels"] for row in tagged], pa.list_(pa.string())),
        "scores": pa.array([row["scores"] for row in tagged], scores),
    }
    for name, column in columns.items():
        at = table.schema.get_field_index(name)
        table = table.append_column(name, column) if at < 0 else table.set_column(at, name, column)
    return table


def _items(table: pa.Table, file: Path, start: int) -> list[Row]:
    """What the tagger reads of each row; of rows without text the first are named."""
    texts = table.column("text").to_pylist()
    if bad := [start + at for at, text in enumerate(texts, 1) if not isinstance(text, str) or not text.strip()]:
        raise RowError(
            f"{file}: {len(bad)} rows break the row contract: `text` must be text in row {listed(bad, ', ')}"
        )
    paths = table.column("path").to_pylist() if "path" in table.schema.names else [[]] * len(texts)
    return [{"text": text, "path": path or []} for text, path in zip(texts, paths, strict=True)]


def _parquet_rows(file: Path) -> Iterator[Row]:
    n_rows = 0
    for table in _tables(file):
        _items(table, file, n_rows)
        for row in table.to_pylist():
            # Null where nobody has labelled: the key is not there.
            kept = {k: v for k, v in row.items() if v is not None or k not in ("labels", "scores", "extra")}
            yield _unfolded(kept) | {"path": kept.get("path") or []}
        n_rows += len(table)


def _unfolded(row: dict[str, Any]) -> Row:
    """With the keys that our own Parquet output keeps in `extra`."""
    try:
        extra = json.loads(row.get("extra", ""))
    except (TypeError, ValueError):
        return row
    if not isinstance(extra, dict):
        return row
    del row["extra"]
    return extra | row


def _tables(file: Path) -> Iterator[pa.Table]:
    """The rows of a Parquet file, about `_ROWS` at a time, whatever the size of its row groups."""
    pq = _pyarrow_parquet()
    import pyarrow as pa

    try:
        with pq.ParquetFile(file) as source:
            _check_columns(source.schema_arrow, file)
            waiting: list[Any] = []
            for batch in source.iter_batches(batch_size=_ROWS):
                waiting.append(batch)
                if sum(len(b) for b in waiting) >= _ROWS:
                    yield pa.Table.from_batches(waiting)
                    waiting = []
            if waiting:
                yield pa.Table.from_batches(waiting)
    except pa.ArrowInvalid as error:
        raise RowError(f"{file}: not a Parquet file, or damaged ({str(error).splitlines()[0][:100]})") from None
    except OSError as error:
        raise RowError(f"{file}: cannot be read ({error.strerror or str(error).splitlines()[0][:100]})") from None


def _check_columns(schema: pa.Schema, file: Path) -> None:
    import pyarrow as pa

    def is_text(kind: pa.DataType) -> bool:
        return (
            pa.types.is_string(kind)
            or pa.types.is_large_string(kind)
            or (pa.types.is_dictionary(kind) and is_text(kind.value_type))
        )

    def is_list(kind: pa.DataType) -> bool:
        return (pa.types.is_list(kind) or pa.types.is_large_list(kind)) and is_text(kind.value_type)

    faults = [f"no column `{name}`" for name in ("plan", "text") if name not in schema.names]
    faults += [
        f"`{n}` must be text, is {schema.field(n).type}"
        for n in ("plan", "text")
        if n in schema.names and not is_text(schema.field(n).type)
    ]
    if "path" in schema.names and not is_list(schema.field("path").type):
        faults.append(f"`path` must be a list of headings, is {schema.field('path').type}")
    if faults:
        raise RowError(f"{file}: breaks the row contract: {'; '.join(faults)}")


def _chunks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    rows = iter(rows)
    while chunk := list(islice(rows, _ROWS)):
        yield chunk


def _pyarrow_parquet() -> Any:
    try:
        import pyarrow.parquet
    except ModuleNotFoundError:
        raise MissingExtra(".parquet", "parquet") from None
    return pyarrow.parquet
