"""Parquet with typed columns, for pandas, polars, DuckDB and the like.

`path` and `labels` are lists of strings (`labels` is null where nobody and nothing has labelled the row, and empty for “no theme”), `scores` is a
struct with one double per theme, `year` an int32, `extra` a JSON object of all other keys, or null.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any, BinaryIO

from train.errors import MissingExtra
from train.rows import Row
from train.tagging.writers.columns import TEXT_COLUMNS, encodable, extra_of, scores_of, year_of
from train.taxonomy import Taxonomy

# One plan has some sixty items: a row group for each would make the file several times larger and slow to read.
_ROWS_IN_GROUP = 10_000


class Parquet:
    """Row groups of `_ROWS_IN_GROUP`; inputs that failed are not part of the data and are left out.

    Raises:
        MissingExtra: pyarrow is not installed.
    """

    def __init__(self, out: BinaryIO, taxonomy: Taxonomy | None, title: str) -> None:
        try:
            import pyarrow as pa
            import pyarrow.parquet as pq
        except ModuleNotFoundError:
            raise MissingExtra(".parquet", "parquet") from None
        text, texts = pa.string(), pa.list_(pa.string())
        types = {"year": pa.int32(), "path": texts, "labels": texts}
        columns = [(name, types.get(name, text)) for name in TEXT_COLUMNS]
        if taxonomy:
            columns.append(("scores", pa.struct([(key, pa.float64()) for key in taxonomy.keys])))
        self._schema = pa.schema([*columns, ("extra", text)])
        self._taxonomy = taxonomy
        self._waiting: list[Row] = []
        self._file = pq.ParquetWriter(out, self._schema)

    def add(self, rows: Sequence[Row]) -> None:
        """Takes rows; they are written when a row group is full."""
        self._waiting += [self._record(row) for row in rows]
        if len(self._waiting) >= _ROWS_IN_GROUP:
            self._flush()

    def finish(self, failures: Sequence[tuple[str, str]]) -> None:
        """Writes the last row group and the footer."""
        self._flush()
        self._file.close()

    def abandon(self) -> None:
        """Closes the file, which pyarrow would otherwise try when it is long gone."""
        with contextlib.suppress(OSError, ValueError):
            self._file.close()
        self._file.is_open = False

    def _flush(self) -> None:
        import pyarrow as pa

        if self._waiting:
            self._file.write_table(pa.Table.from_pylist(self._waiting, schema=self._schema))
            self._waiting = []

    def _record(self, row: Row) -> dict[str, Any]:
        record: dict[str, Any] = {name: _value(row.get(name)) for name in TEXT_COLUMNS}
        record["year"] = year_of(row)
        if self._taxonomy and row.get("scores") is not None:
            record["scores"] = dict(zip(self._taxonomy.keys, scores_of(row, self._taxonomy), strict=True))
        record["extra"] = encodable(extra_of(row, self._taxonomy)) or None
        return record


def _value(value: Any) -> str | list[str] | None:
    if isinstance(value, list):
        return [encodable(part) for part in value]
    return None if value is None else encodable(value)
