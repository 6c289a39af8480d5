"""Damage to bytes, to marks and to their encoding, whatever the format; `mutations.py` applies it to files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random

_HUGE = [
    b"0",
    b"-1",
    b"1",
    b"65536",
    b"2147483648",
    b"-2147483649",
    b"99999999999999999999",
    b"1e309",
    b"0.0000001",
    b"9" * 400,
]
ODD = [
    b"\0", b"\xff", b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf", b"\x84\x31\x95\x33", b"\x80", b"\r", b"\x0c", b"\x1b$B", b"&#0;", b"&#xD800;",
    b"&#x110000;", b"&lt", "\u2028\u202e\ufeff".encode(), "\U0010ffff".encode(), "（(".encode(), b"(" * 60, "，".encode("gb18030"), b"%PDF-",
    b"PK\x03\x04", b"]]>", b"<!--", b"-->", b"<![CDATA[", "第一章".encode(), "１．".encode(), "㈠".encode(), b"http://", b"=cmd|' /C calc'!A0",
]  # fmt: skip
_NUMBER = re.compile(rb"-?\d+")
_TAG = re.compile(rb"<[^>]*>|[^<]+|<")
_CODECS = (
    "utf-8",
    "utf-8-sig",
    "utf-16",
    "utf-16-be",
    "utf-32",
    "gb18030",
    "cp950",
    "big5hkscs",
    "hz",
    "utf-7",
    "latin-1",
)


def _place(raw: bytes, draw: Random, longest: int = 40) -> tuple[int, int]:
    start = draw.randrange(len(raw) + 1)
    return start, min(len(raw), start + draw.randrange(longest))


def damage(raw: bytes, draw: Random, words: Sequence[bytes] = ODD) -> bytes:
    """One to four small wounds: bytes changed, put in, doubled, taken out, cut off; numbers blown up."""
    for _ in range(draw.randint(1, 4)):
        start, end = _place(raw, draw)
        match draw.randrange(8):
            case 0:
                raw = raw[:start] + bytes(draw.randrange(256) for _ in raw[start : min(end, start + 4)]) + raw[end:]
            case 1:
                raw = raw[:start] + draw.choice(words) + raw[start:]
            case 2:
                raw = raw[:start] + raw[end:]
            case 3:
                raw = raw[:start] + raw[start:end] * draw.choice((2, 3, 50)) + raw[end:]
            case 4 if not draw.randrange(4):
                raw = raw[:start]
            case 5 if raw:
                start = min(start, len(raw) - 1)
                raw = raw[:start] + bytes([raw[start] ^ 1 << draw.randrange(8)]) + raw[start + 1 :]
            case 6:
                other, far = _place(raw, draw)
                raw = raw[:start] + raw[other:far] + raw[end:]
            case _:
                raw = _blown_up(raw, draw)
    return raw


def _blown_up(raw: bytes, draw: Random) -> bytes:
    found = list(_NUMBER.finditer(raw))
    if not found:
        return raw
    number = draw.choice(found)
    return raw[: number.start()] + draw.choice(_HUGE) + raw[number.end() :]


def tangle(raw: bytes, draw: Random, words: Sequence[bytes], whole: bool = False) -> bytes:
    """Elements dropped, doubled, nested, exchanged, put in; attributes blown up.

    Args:
        raw: markup.
        draw: where chance comes from.
        words: tags to put in.
        whole: only whole elements move, and what is put in is closed, so that XML stays well formed.
    """
    tokens = _TAG.findall(raw)
    for _ in range(draw.randint(1, 5)):
        if not tokens:
            break
        at, other = draw.randrange(len(tokens)), draw.randrange(len(tokens))
        end = _end(tokens, at) if whole else min(len(tokens), at + draw.randint(1, 12))
        kept = whole and tokens[at].startswith((b"</", b"<?"))
        match draw.randrange(7):
            case 0 if not kept:
                del tokens[at:end]
            case 1 if not kept:
                tokens[at:at] = tokens[at:end] * draw.choice((1, 2, 20))
            case 2:
                tokens[at:at] = _closed(draw.choice(words), whole) * draw.choice((1, 1, 3, 40))
            case 3 if not kept:
                moved = tokens[at:end]
                del tokens[at:end]
                tokens[(place := min(other, len(tokens))) : place] = moved
            case 4 if not kept:
                opening = draw.choice([t for t in tokens if re.match(rb"<\w[^>]*[^/]>", t)] or [b"<a>"])
                deep, closing = draw.choice((2, 30, 300)), b"</" + re.split(rb"[ >]", opening[1:])[0] + b">"
                tokens[at:end] = (
                    [opening] * deep + tokens[at:end] + [closing] * (deep if whole else draw.randrange(deep))
                )
            case 5:
                tokens[at] = _blown_up(tokens[at], draw)
            case _ if not whole or not tokens[at].startswith(b"<"):
                tokens[at] = damage(tokens[at], draw)
            case _:
                pass
    return b"".join(tokens)


def _end(tokens: Sequence[bytes], at: int) -> int:
    """The index behind the element that opens at a token."""
    depth = 0
    for place in range(at, len(tokens)):
        token = tokens[place]
        if token.startswith(b"</"):
            depth -= 1
        elif token.startswith(b"<") and not token.endswith(b"/>") and not token.startswith((b"<!", b"<?")):
            depth += 1
        if depth <= 0:
            return place + 1
    return at + 1


def _closed(word: bytes, whole: bool) -> list[bytes]:
    names = re.findall(rb"<([\w:]+)[^/>]*>", word)
    return [word + b"".join(b"</" + name + b">" for name in reversed(names))] if whole else [word]


def recoded(raw: bytes, draw: Random) -> bytes:
    if draw.randrange(3):
        return raw
    return raw.decode("utf-8", "ignore").encode(draw.choice(_CODECS), "ignore")
