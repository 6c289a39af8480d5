"""Rates of tagging with Ray against the local engine, and what 10⁸ items would take at them.

    python scripts/bench_ray.py [--rows 20000] [--files 8] [--address auto] [--json OUT.json]

The starter corpus is repeated until there are enough rows, each with a number of its own, and written as a folder of Parquet. Figures
are seconds of a whole command and items per second of what is left when the same command on one row, its start-up, is taken away.
Without --address, Ray is started on this machine with all its processors. Give at least a hundred thousand rows for figures to quote.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from train.resources import resource
from train.rows import stream_rows

_ALL = 10**8


def main() -> None:
    """Prints the figures, and writes them where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--files", type=int, default=8)
    parser.add_argument("--address", default=None)
    parser.add_argument("--json", type=Path, default=None)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = _figures(Path(folder), given.rows, given.files, given.address)
    for name, value in figures.items():
        print(f"{name:28} {value:,.4g}" if isinstance(value, float) else f"{name:28} {value:,}")
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def _figures(folder: Path, n_rows: int, n_files: int, address: str | None) -> dict[str, float | int]:
    _lake(folder / "one", 1, 1)
    _lake(folder / "lake", n_rows, n_files)
    where = ["--engine", "ray", *(["--address", address] if address else [])]
    figures: dict[str, float | int] = {"rows": n_rows, "files": n_files, "processors": os.cpu_count() or 1}
    for engine, suffix, options in (("local", ".parquet", []), ("ray", "", where)):
        start = _seconds(folder / "one", folder / f"{engine}_one{suffix}", options)
        whole = _seconds(folder / "lake", folder / f"{engine}{suffix}", options)
        rate = (n_rows - 1) / max(whole - start, 1e-3)
        figures |= {
            f"{engine}_start_s": start,
            f"{engine}_whole_s": whole,
            f"{engine}_items_per_s": rate,
            f"{engine}_bytes_per_item": sum(p.stat().st_size for p in _parquet(folder / f"{engine}{suffix}")) / n_rows,
            f"{engine}_hours_for_1e8": (start + _ALL / rate) / 3600,
        }
    if (saved := 1 / figures["local_items_per_s"] - 1 / figures["ray_items_per_s"]) > 0:
        figures["ray_pays_from_items"] = round((figures["ray_start_s"] - figures["local_start_s"]) / saved)
    return figures


def _lake(folder: Path, n_rows: int, n_files: int) -> None:
    folder.mkdir()
    rows = [
        {k: row[k] for k in ("plan", "number", "path", "text")}
        for file in sorted((resource("data") / "starter").glob("*.jsonl"))
        for row in stream_rows(file)
    ]
    # No two alike: a tagger that computes repeated items once would be measured on fewer.
    numbered = [row | {"text": f"{row['text']}({n})"} for n, row in enumerate(islice(cycle(rows), n_rows))]
    for at in range(n_files):
        pq.write_table(pa.Table.from_pylist(numbered[at::n_files]), folder / f"{at:04}.parquet")


def _seconds(source: Path, output: Path, options: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "train.cli", "tag", str(source), "-o", str(output), *options], check=True)
    return time.perf_counter() - start


def _parquet(output: Path) -> list[Path]:
    return list(output.rglob("*.parquet")) if output.is_dir() else [output]


if __name__ == "__main__":
    main()
