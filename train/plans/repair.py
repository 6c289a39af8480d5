"""Mends what web pages and converters did to a plan's characters; every step can be switched off and is counted."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import cache

HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_TONED = "āáǎàēéěèīíǐìōóǒòūúǔùǖǘǚǜ"
_SYLLABLE = rf"[a-zü{_TONED}]{{1,6}}"
# `衛(wèi)生`: a converter printed the reading of every character that it found ambiguous.
_PINYIN = re.compile(rf"(?<=[{HAN}])[(（]\s*({_SYLLABLE})\s*[)）]")
_TONE = re.compile(f"[{_TONED}]")
_SPACES = re.compile(r"[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000\t\v]")
_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\u00ad]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_LEADING_MARKS = re.compile(r"^\s*\?{2,}\s*")
# A question mark inside a run of single characters (`聯?系?人:`) was an ideographic space too.
_SPACED_OUT = re.compile(rf"(?:(?<=^)|(?<=[\s:：(（]))([{HAN}](?:\?[{HAN}]){{1,4}})(?=[:：\s]|$)")
# What no table turns back: question marks and replacement characters inside Chinese text, private-use
# code points, Latin letters with diacritics amid Han characters.
_DAMAGE = re.compile(
    rf"\ufffd+|[\ue000-\uf8ff]+|(?<=[{HAN}])\?+(?=[{HAN}\d、,，。)”-])|\?{{2,}}|[(（]?(?<![{_TONED}])[{_TONED}]+[)）]?(?=[{HAN}])"
)
# Characters that modern simplified prose does not use; a text with a share of them above this is Traditional script.
_TRADITIONAL_SHARE = 0.03


@dataclass(slots=True)
class Repairs:
    """Which steps run. All are on unless a caller turns one off."""

    mojibake: bool = True
    invisible: bool = True
    pinyin: bool = True
    question_marks: bool = True
    traditional: bool = True
    width: bool = True

    @classmethod
    def without(cls, names: set[str]) -> Repairs:
        """All steps but the named ones.

        Raises:
            ValueError: for a name that is no step; the message lists the steps.
        """
        known = [f.name for f in fields(cls)]
        if unknown := sorted(names - set(known)):
            raise ValueError(f"no repair step {', '.join(unknown)}; the steps are {', '.join(known)}")
        return cls(**{name: name not in names for name in known})


@dataclass(slots=True)
class RepairReport:
    """How many lines each step changed, by step name."""

    changed: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        return ", ".join(f"{name} {count}" for name, count in self.changed.items() if count) or "none"


def repair(lines: list[str], steps: Repairs | None = None) -> tuple[list[str], RepairReport]:
    """Repairs a whole document; some steps look at all of it before they touch a line.

    Args:
        lines: paragraphs as read.
        steps: the steps to run; None for all.

    Returns:
        As many lines as came in, and what was done.
    """
    steps = steps or Repairs()
    report = RepairReport()
    lines = [_join_surrogates(line) for line in lines]
    whole = "\n".join(lines)
    plan: list[tuple[str, bool, Callable[[str], str]]] = [
        # Before the invisible characters go: a soft hyphen may be one byte of a character that was read as three.
        ("mojibake", steps.mojibake and _looks_mojibake(whole), _fix_mojibake),
        ("invisible", steps.invisible, _drop_invisible),
        ("pinyin", steps.pinyin, _drop_pinyin if _has_debris(whole) else _keep),
        ("question_marks", steps.question_marks and "?" in whole, _fix_question_marks),
        ("traditional", steps.traditional and is_traditional(whole), _simplify),
        ("width", steps.width, fold_width),
    ]
    for name, wanted, step in plan:
        if not wanted:
            continue
        after = [step(line) for line in lines]
        report.changed[name] = sum(a != b for a, b in zip(after, lines, strict=True))
        lines = after
    return lines, report


def damage(text: str) -> list[str]:
    """The stretches that cannot be recovered, in order; they stay in the text.

    Example:
        >>> damage("培育临床重点???个")
        ['???']
    """
    return [m.group() for m in _DAMAGE.finditer(text)]


def is_traditional(text: str) -> bool:
    """Whether the text is written in Traditional script, so that a stray 於 or 後 does not convert a simplified plan."""
    han = re.findall(f"[{HAN}]", text)
    if not han:
        return False
    sample = "".join(han[:4000])
    changed = sum(a != b for a, b in zip(sample, _simplify(sample), strict=False))
    return changed > _TRADITIONAL_SHARE * len(sample)


def fold_width(text: str) -> str:
    """Full-width digits, Latin letters and signs of arithmetic to half width; punctuation keeps its width."""
    return text.translate(_width_table())


def _join_surrogates(text: str) -> str:
    """Pairs become the character they stand for, single ones U+FFFD, as no file and no converter takes them. No step: always."""
    if not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _drop_invisible(text: str) -> str:
    return _SPACES.sub(" ", _INVISIBLE.sub("", text)).strip()


def _keep(text: str) -> str:
    return text


def _looks_mojibake(text: str) -> bool:
    # UTF-8 read as Latin-1 or CP1252 shows Latin letters with diacritics where Han characters belong.
    odd = sum("\u00c0" <= c <= "\u00ff" for c in text)
    return odd > 20 and odd > 0.1 * len(text)


def _fix_mojibake(text: str) -> str:
    import ftfy

    return ftfy.fix_text(text, unescape_html=False, uncurl_quotes=False, fix_character_width=False)


def _fix_question_marks(text: str) -> str:
    text = _LEADING_MARKS.sub("", text)
    return _SPACED_OUT.sub(lambda m: m.group(1).replace("?", ""), text)


def _has_debris(text: str) -> bool:
    return sum(bool(_TONE.search(m.group(1))) for m in _PINYIN.finditer(text)) >= 3


def _drop_pinyin(text: str) -> str:
    return _PINYIN.sub("", text)


def _simplify(text: str) -> str:
    return str(_converter().convert(text))


@cache
def _converter():  # type: ignore[no-untyped-def]  # opencc ships no types
    import opencc

    return opencc.OpenCC("t2s")


@cache
def _width_table() -> dict[int, str]:
    table = {
        code: chr(code - 0xFEE0) for code in [*range(0xFF10, 0xFF1A), *range(0xFF21, 0xFF3B), *range(0xFF41, 0xFF5B)]
    }
    return table | {ord(a): b for a, b in zip("％＋＝＜＞．／＠＆＊", "%+=<>./@&*", strict=True)}
