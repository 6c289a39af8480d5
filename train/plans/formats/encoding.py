"""Bytes in, text out, for files that rarely say what they are: UTF-8, UTF-16, GB18030, Big5, and the rest."""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import cache

from train.plans.formats.refusals import Damaged

# GB18030 has a byte-order mark of its own; a few editors write it.
_MARKS = [
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (b"\x84\x31\x95\x33", "gb18030"),
]
# In order of preference where scores are equal. cp950 is the Big5 of Windows; Hong Kong pages need its superset.
_CODECS = ("utf-8", "gb18030", "cp950", "big5hkscs", "utf-16-le", "utf-16-be")
# Names that pages declare → the superset that reads what is really there. Latin charsets are left out: every byte
# string decodes as one of them, so declaring it proves nothing.
_DECLARED = {
    "gb2312": "gb18030", "gbk": "gb18030", "x-gbk": "gb18030", "gb_2312-80": "gb18030", "cp936": "gb18030",
    "gb18030": "gb18030", "hz-gb-2312": "hz", "big5": "cp950", "big-5": "cp950", "x-x-big5": "cp950", "cp950": "cp950",
    "big5-hkscs": "big5hkscs", "utf-8": "utf-8", "utf8": "utf-8", "utf-16": "utf-16", "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be", "utf-7": "utf-7",
}  # fmt: skip
_PUNCTUATION = frozenset("，。、；：？！“”‘’（）《》〈〉【】〔〕「」『』—…·～％＋－．／　℃≥≤×①②③④⑤⑥⑦⑧⑨⑩■□●○★☆※→")
_NOT_ASCII = re.compile(rb"[\x80-\xff]")
_SAMPLE = 60_000  # bytes that decide; more changes no decision and costs seconds on large files
_SURE = 0.6  # score above which no further guess is needed: right readings of plans score > .9, wrong ones < .6
_BAD_COST = 3.0  # one undecodable character outweighs three common ones
_BAD_SHARE = 0.05  # more than this and the content is not text; a truncated or patched file has far less
_BAD_FEW = 2  # but a short note may hold two


class NotText(Damaged):
    """The bytes are no text in any encoding known here."""


@dataclass(frozen=True, slots=True)
class _Guess:
    codec: str
    score: float
    bad: int
    length: int

    @property
    def width(self) -> int:
        return 2 if self.codec.startswith("utf-16") else 1

    @property
    def acceptable(self) -> bool:
        return self.bad <= max(_BAD_FEW, _BAD_SHARE * self.length) and self.bad < max(1, self.length / 2)


def decode(raw: bytes, declared: str | None = None) -> str:
    """The text of a file.

    A byte-order mark decides; then valid UTF-8 with Chinese in it, which no other encoding yields by chance; then the
    declared charset if it decodes without fault; then the reading with the largest share of common characters. A few
    bad bytes become U+FFFD.

    Args:
        raw: the whole file.
        declared: a charset named by the file itself (HTML meta, MHTML header).

    Raises:
        NotText: for content that is mostly binary.
    """
    for mark, codec in _MARKS:
        if raw.startswith(mark):
            return _checked(raw[len(mark) :].decode(codec, "replace"))
    if (text := _strict(raw, "utf-8")) is not None and _surely_utf8(text):
        return text
    codec = _DECLARED.get((declared or "").strip().lower(), "")
    if codec and codec != "utf-8" and (text := _strict(raw, codec)) is not None and "\0" not in text:
        return text.removeprefix("\ufeff")
    return _checked(raw.decode(_best(raw), "replace")).removeprefix("\ufeff")


def _best(raw: bytes) -> str:
    first = _NOT_ASCII.search(raw)  # a page may open with more style sheet than the sample holds
    start = first.start() & ~1 if first else 0  # even, for the sake of UTF-16
    sample = raw[start : start + _SAMPLE]
    guesses = [_guess(sample, codec) for codec in _CODECS]
    # Any pair of bytes is some character of UTF-16: without a mark it is believed only where it makes sense.
    guess = max((g for g in guesses if g.width == 1 or g.score >= _SURE), key=lambda g: g.score)
    if guess.score >= _SURE and guess.acceptable:
        return guess.codec
    other = _foreign(sample)
    if guess.acceptable and (other is None or guess.score > 0):
        return guess.codec
    if other is None:
        raise NotText("not text in any known encoding")
    return other


def _foreign(sample: bytes) -> str | None:
    """What charset-normalizer makes of bytes that are none of the Chinese encodings."""
    if _controls(sample.decode("latin-1")) > _BAD_SHARE * len(sample):
        return None
    from charset_normalizer import from_bytes

    found = from_bytes(sample, enable_fallback=False).best()
    return found.encoding if found else None


def _guess(sample: bytes, codec: str) -> _Guess:
    width = 2 if codec.startswith("utf-16") else 1
    text = sample[: len(sample) - len(sample) % width].decode(codec, "replace").removeprefix("\ufeff")
    if len(sample) == _SAMPLE:
        text = text[:-1]  # the sample may end in the middle of a character
    seen = {char: count for char, count in Counter(text).items() if not char.isspace()}
    length = sum(seen.values())
    if not length:
        return _Guess(codec, 0.0, 0, len(text))
    common = _common()
    bad = sum(count for char, count in seen.items() if _is_bad(char))
    good = sum(count for char, count in seen.items() if " " < char <= "~" or char in common)
    return _Guess(codec, (good - _BAD_COST * bad) / length, bad, length)


@cache
def _common() -> frozenset[str]:
    """The characters in daily use, simplified and traditional: level 1 of GB 2312 (3,755) and of Big5 (5,401)."""
    trails = range(0x40, 0xFF)
    gb = (bytes((lead, trail)) for lead in range(0xB0, 0xD8) for trail in trails if trail > 0xA0)
    big5 = (bytes((lead, trail)) for lead in range(0xA4, 0xC7) for trail in trails)
    chars = [pair.decode("gb2312", "ignore") for pair in gb]  # tables of a standard with unassigned places, not a text
    chars += [pair.decode("big5", "ignore") for pair in big5]
    return frozenset("".join(chars)) | _PUNCTUATION


def _is_bad(char: str) -> bool:
    return char == "\ufffd" or unicodedata.category(char) in ("Cc", "Cn", "Co", "Cs")


def _controls(text: str) -> int:
    return sum(unicodedata.category(c) == "Cc" and c not in "\t\n\v\f\r\x1a\x85" for c in text)


def _checked(text: str) -> str:
    """The text, unless most of it cannot be text.

    Raises:
        NotText: for more bad or control characters than a damaged text has.
    """
    head = text[:_SAMPLE]
    bad = head.count("\ufffd") + _controls(head)
    if bad > max(_BAD_FEW, _BAD_SHARE * len(head)) or 0 < len(head) <= bad:
        raise NotText("not text: mostly binary content")
    return text


def _strict(raw: bytes, codec: str) -> str | None:
    try:
        return raw.decode(codec)
    except UnicodeDecodeError:
        return None


def _surely_utf8(text: str) -> bool:
    """Whether valid UTF-8 is no accident: pure ASCII, or with a character of three bytes.

    Two GB18030 characters can happen to be valid UTF-8 of two bytes each, never a whole text.
    """
    if "\0" in text:
        return False  # UTF-16 in Western script is valid UTF-8 with NULs
    return text.isascii() or any(c > "\u07ff" for c in text)
