"""The item row, the one record of the project: read from and written to JSON Lines, checked against the row contract.

`plan · title · year · issuer · number · path · text · units · labels · scores`. `labels: []` is “annotated, no theme”; no `labels` key is
“not annotated”. Keys beyond these are kept.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from train.errors import RowError, listed
from train.taxonomy import Taxonomy

Row = dict[str, Any]
CONTRACT = 1  # rows of another number do not mix with these
COLUMNS = ("plan", "title", "year", "issuer", "number", "path", "text", "units", "labels", "scores")
_MAX_BYTES = 1 << 30  # a hundred times the starter corpus and more
# Readers of JSON Lines that split as str.splitlines does would cut a row at these.
_ESCAPED = re.compile("[\x85\u2028\u2029\ud800-\udfff]")


def read_rows(
    source: str | Path, taxonomy: Taxonomy | None = None, *, annotated: bool = False, plan_key: str | None = "plan"
) -> list[Row]:
    """Reads item rows from a .jsonl file or from all .jsonl files of a folder.

    Args:
        source: file or folder.
        taxonomy: if given, every label must be one of its keys.
        annotated: whether rows without `labels` are left out.
        plan_key: the key that says which rows belong together; it becomes their `plan`. None where every row stands alone.

    Returns:
        Rows in file order, labels in taxonomy order.

    Raises:
        RowError: nothing to read, or rows that break the contract; all are named, with file and line.
    """
    return list(stream_rows(source, taxonomy, annotated=annotated, plan_key=plan_key))


def stream_rows(
    source: str | Path, taxonomy: Taxonomy | None = None, *, annotated: bool = False, plan_key: str | None = "plan"
) -> Iterator[Row]:
    """As `read_rows`, one row at a time; faults are named once the last row was read."""
    n_rows, faults = 0, list[str]()
    for path in _files(Path(source)):
        for at, line in enumerate(_lines(path), 1):
            if not line.strip():
                continue
            row, fault = _parse(line, taxonomy, plan_key, f"{path.stem} {at}")
            if fault:
                faults.append(f"{path.name} line {at}: {fault}")
            elif row is not None and (not annotated or "labels" in row):
                n_rows += 1
                yield row
    if faults:
        raise RowError(f"{source}: {len(faults)} rows break the row contract: {listed(faults)}")
    if not n_rows:
        raise RowError(f"{source}: no {'annotated ' if annotated else ''}rows; expected JSON Lines, one item a line")


def write_rows(path: str | Path, rows: Iterable[Row]) -> None:
    """Writes rows as JSON Lines in UTF-8."""
    with Path(path).open("w", encoding="utf-8", newline="\n") as out:
        out.writelines(dump_row(row) + "\n" for row in rows)


def dump_row(row: Row) -> str:
    """One row as one line of JSON: line ends inside text are escaped, and lone surrogates, which UTF-8 cannot hold."""
    text = json.dumps(row, ensure_ascii=False)
    return _ESCAPED.sub(lambda m: f"\\u{ord(m.group()):04x}", text)


def plan_names(rows: Sequence[Row]) -> list[str]:
    """Names of the plans, in order of first appearance."""
    return list(dict.fromkeys(str(row["plan"]) for row in rows))


def _files(source: Path) -> list[Path]:
    if source.is_dir():
        files = sorted(source.glob("*.jsonl"))
        if not files:
            raise RowError(f"{source}: no .jsonl files in this folder")
        return files
    if not source.exists():
        raise RowError(f"{source}: no such file; expected item rows as JSON Lines")
    return [source]


def _lines(path: Path) -> Iterator[str]:
    try:
        if (size := path.stat().st_size) > _MAX_BYTES:
            raise RowError(f"{path}: {size >> 20:,} MiB, more than the {_MAX_BYTES >> 20:,} MiB read; split it")
        with path.open(encoding="utf-8-sig", newline="\n") as file:
            yield from file
    except UnicodeDecodeError:
        raise RowError(f"{path}: not UTF-8; save the rows as UTF-8") from None
    except OSError as error:
        raise RowError(f"{path}: cannot be read ({error.strerror})") from None


def _parse(line: str, taxonomy: Taxonomy | None, plan_key: str | None, alone: str) -> tuple[Row | None, str]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None, "not JSON"
    if not isinstance(row, dict):
        return None, "not a JSON object"
    if plan_key is None:
        row["plan"] = alone
    elif plan_key != "plan" and plan_key in row:
        row["plan"] = str(row[plan_key])
    name = " ".join(f"{row.get('plan')} {row.get('number', '')}".split())
    for key, kind in (("plan", str), ("text", str)):
        if not isinstance(row.get(key), kind) or not row[key].strip():
            return None, f"{name}: `{key}` must be text"
    path = row.setdefault("path", [])
    if not isinstance(path, list) or not all(isinstance(p, str) for p in path):
        return None, f"{name}: `path` must be a list of headings"
    for key in ("number", "units"):  # a spreadsheet on the way makes numbers of them, or leaves them empty
        row[key] = "" if row.get(key) is None else str(row[key])
    if "labels" not in row:
        return row, ""
    labels = row["labels"]
    if not isinstance(labels, list) or not all(isinstance(x, str) for x in labels):
        return None, f"{name}: `labels` must be a list of theme keys"
    if taxonomy:
        if unknown := [x for x in labels if x not in taxonomy.keys]:
            return None, f"{name}: unknown theme {', '.join(unknown)} (the taxonomy has {', '.join(taxonomy.keys)})"
        row["labels"] = taxonomy.ordered(labels)
    return row, ""


def content_id(row: Row) -> str:
    """Sixteen hexadecimal digits that the plan, the headings, the number and the text determine; scores and titles may change."""
    said = [row["plan"], row.get("path") or [], row.get("number") or "", row["text"]]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]
