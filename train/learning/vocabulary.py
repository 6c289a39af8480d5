"""The learned vocabulary: WordPiece in which every Han character and every digit is a token of its own.

Figures and years cost ten tokens in all, Latin words are cut into short learned pieces, and everything else that is
frequent enough is one token per character. Width, compatibility forms and case are folded before the text is cut, so
full-width and half-width brackets, digits and letters are the same tokens.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors, trainers
from tokenizers.models import WordPiece

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PAD_ID, UNK_ID, CLS_ID, SEP_ID, MASK_ID = range(len(SPECIAL_TOKENS))
_ROLES = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
# Without naming them, a tokenizer of no known class leaves out the segments, and text and headings would run into one.
_INPUTS = ["input_ids", "token_type_ids", "attention_mask"]

_PREFIX = "##"
_LETTERS = [chr(code) for code in range(ord("a"), ord("z") + 1)]
_ASCII = [chr(code) for code in range(0x21, 0x7F) if not chr(code).isalpha()]
_WORD = re.compile("[a-z]+")


def learn_vocabulary(
    texts: Iterable[str], *, size: int, min_count: int, n_latin: int, max_latin_chars: int
) -> Tokenizer:
    """Learns the vocabulary; the same text gives the same vocabulary.

    Args:
        texts: paragraphs; their order does not matter.
        size: largest number of tokens, the special ones included.
        min_count: a character seen less often than this is unknown.
        n_latin: Latin pieces at most, so that foreign names do not crowd out characters; single letters come on top.
        max_latin_chars: length of the longest Latin piece.
    """
    characters: Counter[str] = Counter()
    words: Counter[str] = Counter()
    for text in texts:
        folded = unicodedata.normalize("NFKC", text).lower()
        characters.update(folded)
        words.update(_WORD.findall(folded))
    always = [*SPECIAL_TOKENS, *_ASCII, *_LETTERS, *(_PREFIX + letter for letter in _LETTERS)]
    tokens = list(dict.fromkeys([*always, *_latin_pieces(words, n_latin, max_latin_chars)]))
    known = set(tokens)
    frequent = [c for c, n in characters.items() if n >= min_count and c not in known and _is_visible(c)]
    frequent.sort(key=lambda c: (-characters[c], c))
    tokens += frequent[: max(0, size - len(tokens))]
    return assemble_tokenizer(tokens)


def assemble_tokenizer(tokens: list[str]) -> Tokenizer:
    """The tokenizer of a list of tokens, which begins with the special ones."""
    tokenizer = Tokenizer(WordPiece({token: i for i, token in enumerate(tokens)}, unk_token=SPECIAL_TOKENS[UNK_ID]))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        # Whatever is not a Latin letter stands alone: Han characters, digits, punctuation.
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(Regex("[^a-z]"), "isolated")]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",  # the heading path, in fine-tuning; pretraining knows one segment
        special_tokens=[("[CLS]", CLS_ID), ("[SEP]", SEP_ID)],
    )
    tokenizer.decoder = decoders.WordPiece(prefix=_PREFIX)
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    return tokenizer


def as_pretrained(tokenizer: Tokenizer, max_length: int) -> PreTrainedTokenizerFast:
    """The same tokenizer as models of `transformers` take it.

    Args:
        tokenizer: as `learn_vocabulary` gives it.
        max_length: tokens to which it truncates when asked to.
    """
    from transformers import PreTrainedTokenizerFast

    roles: dict[str, Any] = dict(zip(_ROLES, SPECIAL_TOKENS, strict=True))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=max_length, model_input_names=_INPUTS, **roles
    )


def save_pretrained_tokenizer(tokenizer: Tokenizer, max_length: int, folder: Path) -> None:
    """Writes what `AutoTokenizer.from_pretrained(folder)` reads; `tokenizer.json` alone serves bare `tokenizers`.

    Args:
        tokenizer: as `learn_vocabulary` gives it.
        max_length: tokens to which it truncates when asked to.
        folder: exists.
    """
    # As `save` writes it, but for its error: that is of no class of its own.
    (folder / "tokenizer.json").write_text(tokenizer.to_str(pretty=True), encoding="utf-8", newline="\n")
    # The class name that both transformers 4 and 5 know; 5 itself would write one that 4 does not.
    config: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": max_length}
    config |= {"model_input_names": _INPUTS} | dict(zip(_ROLES, SPECIAL_TOKENS, strict=True))
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _latin_pieces(words: Counter[str], n_latin: int, max_chars: int) -> list[str]:
    if not words or n_latin < 1:
        return []
    learner = Tokenizer(WordPiece(unk_token=SPECIAL_TOKENS[UNK_ID]))
    learner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.WordPieceTrainer(
        vocab_size=n_latin + 2 * len(_LETTERS), min_frequency=2, continuing_subword_prefix=_PREFIX, show_progress=False
    )
    learner.train_from_iterator(_repeated(words), trainer)
    by_id = sorted(learner.get_vocab().items(), key=lambda pair: pair[1])
    return [piece for piece, _ in by_id if len(piece.removeprefix(_PREFIX)) <= max_chars]


def _repeated(words: Counter[str]) -> Iterator[str]:
    for word in sorted(words):
        yield " ".join([word] * words[word])


def _is_visible(character: str) -> bool:
    return not character.isspace() and unicodedata.category(character) not in {"Cc", "Cf", "Co", "Cn", "Cs"}
