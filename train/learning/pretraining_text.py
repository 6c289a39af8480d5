"""A folder's documents, packed into fixed-length blocks of tokens that never mix documents.

All is kept as token ids in a memory-mapped cache; each source has a weight. What an epoch reads, and in which order, follows from the seed and the
epoch's number alone, so a run resumes where it was.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from train.errors import ConfigError
from train.learning.pretraining_documents import Document, digest_text, read_documents
from train.learning.vocabulary import CLS_ID, PAD_ID, SEP_ID

Ids = npt.NDArray[np.int64]

# Changes whenever the cache of an older version must not be read.
_CACHE_FORMAT = 1
_DOCUMENTS_AT_ONCE = 256
# Two of a block's tokens are [CLS] and the last [SEP].
_N_FRAME = 2


class PackedText:
    """The token ids of a corpus, document after document; every paragraph ends with [SEP].

    Attributes:
        tokens: uint16 [n_tokens], memory-mapped.
        ends: int64 [n_documents], where each document ends in `tokens`.
        source_of: int64 [n_documents], index into `sources`.
        sources: names of the sources.
        digest: of the text and the vocabulary.
    """

    def __init__(self, folder: Path) -> None:
        self.digest = folder.name
        self.tokens: npt.NDArray[np.uint16] = np.memmap(folder / "tokens.bin", dtype=np.uint16, mode="r")
        self.ends: Ids = np.load(folder / "ends.npy", allow_pickle=False)
        self.source_of: Ids = np.load(folder / "source_of.npy", allow_pickle=False)
        self.sources: list[str] = json.loads((folder / "sources.json").read_text(encoding="utf-8"))

    @property
    def starts(self) -> Ids:
        """int64 [n_documents], where each document starts in `tokens`."""
        return np.concatenate([np.zeros(1, dtype=np.int64), self.ends[:-1]])

    def source_sizes(self) -> dict[str, int]:
        """Tokens of each source."""
        sizes = np.bincount(self.source_of, weights=self.ends - self.starts, minlength=len(self.sources))
        return {name: int(size) for name, size in zip(self.sources, sizes, strict=True)}


def pack_text(folder: Path, tokenizer: Tokenizer, cache: Path) -> PackedText:
    """Tokenizes a folder of text, or finds it tokenized in the cache.

    Args:
        folder: the text.
        tokenizer: its vocabulary has at most 65,536 tokens.
        cache: where packed corpora are kept, one folder each, named by a digest of text and vocabulary.
    """
    if tokenizer.get_vocab_size() > 2**16:
        raise ConfigError(f"vocabulary of {tokenizer.get_vocab_size()} tokens: at most 65536 fit the cache")
    packed = cache / digest_text(folder, f"{_CACHE_FORMAT}{tokenizer.to_str()}")
    if not packed.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        half_done = Path(tempfile.mkdtemp(prefix="half-done-", dir=cache))
        _write_packed(read_documents(folder), tokenizer, half_done)
        try:
            half_done.rename(packed)
        except OSError:  # another process was faster
            shutil.rmtree(half_done)
    return PackedText(packed)


def _write_packed(documents: Iterator[Document], tokenizer: Tokenizer, folder: Path) -> None:
    sizes: list[int] = []
    source_of: list[int] = []
    sources: dict[str, int] = {}
    with (folder / "tokens.bin").open("wb") as out:
        for group in _groups(documents):
            encoded = tokenizer.encode_batch(
                [p for document in group for p in document.paragraphs], add_special_tokens=False
            )
            paragraphs = iter(encoded)
            for document in group:
                ids = [i for _ in document.paragraphs for i in (*next(paragraphs).ids, SEP_ID)]
                out.write(np.asarray(ids, dtype=np.uint16).tobytes())
                sizes.append(len(ids))
                source_of.append(sources.setdefault(document.source, len(sources)))
    np.save(folder / "ends.npy", np.cumsum(sizes, dtype=np.int64))
    np.save(folder / "source_of.npy", np.asarray(source_of, dtype=np.int64))
    (folder / "sources.json").write_text(json.dumps(list(sources), ensure_ascii=False), encoding="utf-8")


def _groups(documents: Iterator[Document]) -> Iterator[list[Document]]:
    group: list[Document] = []
    for document in documents:
        group.append(document)
        if len(group) == _DOCUMENTS_AT_ONCE:
            yield group
            group = []
    if group:
        yield group


@dataclass(frozen=True)
class Batch:
    """Blocks of tokens, each holding one or more pieces; a piece is [CLS] … [SEP] from one document.

    Attributes:
        ids: int64 [n_blocks, length].
        pieces: int64 [n_blocks, length], 1, 2, … for the pieces of a block, 0 for padding. Tokens attend within a piece.
        positions: int64 [n_blocks, length], position within the piece.
    """

    ids: Ids
    pieces: Ids
    positions: Ids


class Epoch:
    """One pass over some documents, cut into blocks of one length and shuffled.

    Long documents are cut at places that differ from epoch to epoch; the short pieces that remain share blocks.
    """

    def __init__(
        self, text: PackedText, documents: Ids, weights: dict[str, float], length: int, rng: np.random.Generator
    ) -> None:
        """Plans the pass.

        Args:
            text: the corpus.
            documents: indices of the documents to read.
            weights: how often a source is read in one epoch; 0.5 reads half of its documents. 1 where not named.
            length: tokens in a block.
            rng: decides on cuts and order.
        """
        self._text, self._length = text, length
        times = np.array([weights.get(name, 1.0) for name in text.sources])[text.source_of[documents]]
        copies = np.floor(times + rng.random(len(documents))).astype(np.int64)
        self._starts, self._sizes = _cut(text, np.repeat(documents, copies), length - _N_FRAME, rng)
        self._blocks = _share_blocks(self._sizes, length)
        self._order = rng.permutation(len(self._blocks))

    def __len__(self) -> int:
        """Number of blocks."""
        return len(self._blocks)

    def batch(self, start: int, n_blocks: int) -> Batch:
        """Blocks `start` to `start + n_blocks` of the shuffled order."""
        shape = (n_blocks, self._length)
        ids, pieces, positions = np.full(shape, PAD_ID), np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        for row, block in enumerate(self._order[start : start + n_blocks]):
            at = 0
            for number, piece in enumerate(self._blocks[block], start=1):
                first, size = self._starts[piece], int(self._sizes[piece])
                end = at + size + _N_FRAME
                ids[row, at] = CLS_ID
                ids[row, at + 1 : end - 1] = self._text.tokens[first : first + size]
                ids[row, end - 1] = SEP_ID
                pieces[row, at:end] = number
                positions[row, at:end] = np.arange(end - at)
                at = end
        return Batch(ids, pieces, positions)


def _cut(text: PackedText, documents: Ids, room: int, rng: np.random.Generator) -> tuple[Ids, Ids]:
    """Starts and sizes of pieces of at most `room` tokens, the closing [SEP] not counted."""
    starts: list[Ids] = [np.empty(0, np.int64)]
    sizes: list[Ids] = [np.empty(0, np.int64)]
    for first, end in zip(text.starts[documents], text.ends[documents], strict=True):
        end -= 1  # the last paragraph's [SEP] is what closes the piece
        offset = int(rng.integers(room)) if end - first > room else 0
        cuts = np.arange(first + offset, end, room)
        if offset:
            cuts = np.concatenate([np.array([first]), cuts])
        starts.append(cuts)
        sizes.append(np.diff(np.append(cuts, end)))
    return np.concatenate(starts), np.concatenate(sizes)


def _share_blocks(sizes: Ids, length: int) -> list[list[int]]:
    """Pieces by block: the longest first, each into the fullest block that still has room for it."""
    blocks: list[list[int]] = []
    with_room: list[list[int]] = [[] for _ in range(length + 1)]
    for piece in np.argsort(-sizes, kind="stable").tolist():
        needed = int(sizes[piece]) + _N_FRAME
        room = next((r for r in range(needed, length + 1) if with_room[r]), None)
        if room is None:
            block, room = len(blocks), length
            blocks.append([])
        else:
            block = with_room[room].pop()
        blocks[block].append(piece)
        if room - needed > _N_FRAME:
            with_room[room - needed].append(block)
    return blocks
