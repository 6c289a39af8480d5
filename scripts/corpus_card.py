"""Writes the card of the starter corpus from its rows: `python scripts/corpus_card.py`."""

from __future__ import annotations

from train.corpus.card import corpus_card
from train.resources import resource
from train.rows import read_rows
from train.taxonomy import Taxonomy


def main() -> None:
    """Writes data/starter/README.md."""
    folder, taxonomy = resource("data") / "starter", Taxonomy.load()
    (folder / "README.md").write_text(corpus_card(read_rows(folder, taxonomy), taxonomy), encoding="utf-8")


if __name__ == "__main__":
    main()
