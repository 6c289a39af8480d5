"""Turns tagged plans into rows of the starter corpus: `python scripts/add_plan.py PLAN.txt… [--into data/starter]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from train.corpus.starter import rows_of_source
from train.errors import YaodianError
from train.rows import write_rows


def main() -> None:
    """Writes one .jsonl a plan; a plan that the reader cuts otherwise than its tags say is refused."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("plans", nargs="+", type=Path)
    parser.add_argument("--into", type=Path, default=Path("data/starter"))
    arguments = parser.parse_args()
    for path in arguments.plans:
        try:
            rows = rows_of_source(path.read_text(encoding="utf-8"), path.name)
        except YaodianError as error:
            sys.exit(str(error))
        write_rows(arguments.into / f"{rows[0]['plan']}.jsonl", rows)
        print(f"{rows[0]['plan']}: {len(rows)} items")


if __name__ == "__main__":
    main()
