"""Items that nearly repeat one another across plans: policy sentences travel, and a copied one in test is no skill.

MinHash with locality-sensitive hashing (datasketch) proposes pairs, exact Jaccard similarity of character 4-grams settles them.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from train.errors import MissingExtra
from train.rows import Row

SHINGLE = 4
# At .6 two sentences differ by a changed figure or a clause; invented pairs with other content stay below .4.
THRESHOLD = 0.6
_N_PERMUTATIONS = 128
SHORTEST = 12


def shingles(text: str) -> frozenset[str]:
    """Character 4-grams of a text without white space, punctuation and digits (figures change, the sentence stays)."""
    squeezed = re.sub(r"[\W\d_]+", "", text)
    return (
        frozenset(squeezed[i : i + SHINGLE] for i in range(max(1, len(squeezed) - SHINGLE + 1)))
        if squeezed
        else frozenset()
    )


def similarity(a: frozenset[str], b: frozenset[str]) -> float:
    """Jaccard similarity in [0, 1]; two empty sets have none."""
    return len(a & b) / len(a | b) if a or b else 0.0


class Seen:
    """Texts that others are held against one at a time: every similarity is exact, and no further package is needed."""

    def __init__(self) -> None:
        self._sizes: list[int] = []
        self._holders: defaultdict[str, list[int]] = defaultdict(list)

    def add(self, text: str) -> None:
        """Remembers a text."""
        grams = shingles(text)
        for gram in grams:
            self._holders[gram].append(len(self._sizes))
        self._sizes.append(len(grams))

    def holds(self, text: str) -> bool:
        """Whether a remembered text is a near-duplicate of this one, whichever plans they are of and however short they are."""
        grams = shingles(text)
        shared = Counter(other for gram in grams for other in self._holders.get(gram, ()))
        return any(n / (len(grams) + self._sizes[other] - n) >= THRESHOLD for other, n in shared.items())


def near_duplicates(rows: Sequence[Row], threshold: float = THRESHOLD) -> list[tuple[int, int, float]]:
    """Pairs of items of different plans that nearly repeat one another.

    Args:
        rows: item rows.
        threshold: least Jaccard similarity of a pair.

    Returns:
        (index, index, similarity) with the first index smaller, in order. Texts of fewer than 12 characters are passed over:
        short indicators coincide without being copied.

    Raises:
        MissingExtra: datasketch is not installed.
    """
    try:
        from datasketch import MinHash, MinHashLSH
    except ImportError:
        raise MissingExtra("the search for near-duplicates", "train") from None
    sets = [shingles(row["text"]) if len(row["text"]) >= SHORTEST else frozenset[str]() for row in rows]
    # Candidates are sought a little below the threshold: the hash estimates, the exact figure decides.
    index = MinHashLSH(threshold=max(0.1, threshold - 0.1), num_perm=_N_PERMUTATIONS)
    pairs = []
    for at, grams in enumerate(sets):
        if not grams:
            continue
        sketch = MinHash(num_perm=_N_PERMUTATIONS, seed=1)
        sketch.update_batch([g.encode() for g in sorted(grams)])
        for other in sorted(index.query(sketch)):
            close = similarity(grams, sets[other])
            if close >= threshold and rows[other]["plan"] != rows[at]["plan"]:
                pairs.append((other, at, close))
        index.insert(at, sketch)
    return sorted(pairs)
