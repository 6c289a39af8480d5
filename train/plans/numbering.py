"""The numbers that open a heading or an item: `一、`, `(一)`, `1.`, `(1)`, `一是`, `①`, `第一章`, `1.1` …."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

_DIGITS = {c: i for i, c in enumerate("〇一二三四五六七八九")} | {"零": 0, "两": 2}
_UNITS = {"十": 10, "百": 100}
_CN = "[〇零一二三四五六七八九十百]{1,5}"
# Numbers that are one character each: ①–⑳ ㉑–㉟ ㊱–㊿ ❶–❿, ⑴–⒇, ⒈–⒛, ㈠–㈩.
_CIRCLED, _ENCLOSED, _DOTTED, _ENCLOSED_CN = "①-⑳㉑-㉟㊱-㊿❶-❿", "⑴-⒇", "⒈-⒛", "㈠-㈩"
_OPEN, _CLOSE = "[(（〔﹙]", "[)）〕﹚]"
# After a bare digit number the text must not go on as a quantity: `5月底前…`, `3个中心`, `90%以上`, `2-3家`.
_QUANTITY = (
    r"(?![\d.．%％‰年月日号时个家所项名人次张万亿元级天周岁种类例场期批度份间台套条件株米公千百十:：/、~～\-—－+×*])"
)


@dataclass(frozen=True, slots=True)
class Marker:
    """A number at the head of a line.

    Attributes:
        kind: the numbering system; markers of one kind are siblings or belong to different parents.
        value: 1, 2, 3 … as counted.
        printed: the number as a row shows it: `12`, `(三)`, `一是`, `第二章`.
        mark: all that stands before the text, as printed: `12. `, `(三) `.
        certain: False where the separator was lost (`29深化`): a marker only if the count confirms it.
    """

    kind: str
    value: int
    printed: str
    mark: str
    certain: bool = True


def chinese_number(text: str) -> int:
    """`十二` → 12, `二十` → 20, `一百零三` → 103, `一〇` → 10.

    Raises:
        ValueError: for text that is not a Chinese number below 1,000.
    """
    if not text or any(c not in _DIGITS and c not in _UNITS for c in text):
        raise ValueError(text)
    if not any(c in _UNITS for c in text):
        return int("".join(str(_DIGITS[c]) for c in text))
    total, digit = 0, None
    for c in text:
        if c in _UNITS:
            total += (1 if digit is None else digit) * _UNITS[c]
            digit = None
        else:
            digit = _DIGITS[c]
    return total + (digit or 0)


# In the order they are tried. Group `n` is the count, group `p` what a row prints.
_PATTERNS: list[tuple[str, re.Pattern[str]]] = [
    (kind, re.compile(pattern))
    for kind, pattern in [
        ("part", rf"(?P<p>第\s*(?P<n>{_CN}|\d{{1,2}})\s*(?:部分|篇|编))\s*[、.．:：]?\s*"),
        ("chapter", rf"(?P<p>第\s*(?P<n>{_CN}|\d{{1,2}})\s*章)\s*[、.．:：]?\s*"),
        ("section", rf"(?P<p>第\s*(?P<n>{_CN}|\d{{1,2}})\s*节)\s*[、.．:：]?\s*"),
        ("article", rf"(?P<p>第\s*(?P<n>{_CN}|\d{{1,3}})\s*条)\s*[、.．:：]?\s*"),
        ("named", rf"(?P<p>(?:任务|行动|工程|举措)\s*(?P<n>{_CN}|\d{{1,2}}))\s*[:：]\s*"),
        ("one_is", rf"(?P<p>(?P<n>{_CN})(?:是|要(?![素求点务领件闻害])))\s*[,，、:：]?\s*"),
        ("task_is", rf"(?P<p>(?P<n>{_CN})(?:、|,|，))\s*(?=是)"),
        ("cn_paren", rf"(?P<p>{_OPEN}\s*(?P<n>{_CN})\s*{_CLOSE})\s*[、.．]?\s*"),
        ("cn_dot", rf"(?P<p>(?P<n>{_CN}))\s*[、.．]\s*"),
        ("cn_half", rf"(?P<p>(?P<n>{_CN})\s*[)）])\s*[、.．]?\s*"),
        ("num_paren", rf"(?P<p>{_OPEN}\s*(?P<n>\d{{1,3}})\s*{_CLOSE})\s*[、.．]?\s*"),
        ("circled", rf"(?P<p>(?P<n>[{_CIRCLED}]))\s*[、.．]?\s*"),
        ("cn_paren", rf"(?P<p>(?P<n>[{_ENCLOSED_CN}]))\s*[、.．]?\s*"),
        ("num_paren", rf"(?P<p>(?P<n>[{_ENCLOSED}]))\s*[、.．]?\s*"),
        ("num", rf"(?P<p>(?P<n>[{_DOTTED}]))\s*"),
        ("num_num_num", r"(?P<p>\d{1,2}[.．]\d{1,2}[.．](?P<n>\d{1,2}))[、.．]?\s*(?![\d%‰])"),
        ("num_half", r"(?P<p>(?P<n>\d{1,3})\s*[)）])\s*[、.．]?\s*"),
        ("num", r"(?P<p>(?P<n>\d{1,3}))\s*(?:[、．]|[.](?!\d))\s*"),
        ("num_num", r"(?P<p>\d{1,2}[.．](?P<n>\d{1,2}))[、.．]?\s*(?![\d%‰.．万亿元个家所倍])"),
    ]
]
# `51.120指挥系统`, `3.65岁以上老年人`: the text itself begins with a figure. `1.5万人次` at the head of a wrapped line is one figure; from 2 on the count tells.
_BEFORE_FIGURE = re.compile(r"(?!1[.．]\d+(?:[万亿%％‰倍]|个百分点))(?P<p>(?P<n>\d{1,3}))\s*[.．]\s*(?=\d)")
# `1,加强…`, `2:深化…`: punctuation that also stands behind plain figures.
_ODD_MARK = re.compile(r"(?P<p>(?P<n>\d{1,3}))\s*[,，。:：;；·]\s*(?=[\u4e00-\u9fff“\"《])")
_LOST_DOT = re.compile(rf"(?P<p>(?P<n>\d{{1,3}}))(?P<gap>\s*){_QUANTITY}(?=[\u4e00-\u9fff“\"《])")


def read_marker(text: str) -> Marker | None:
    """The marker at the head of a line, or None.

    Args:
        text: one line; white space before the number is passed over.
    """
    lead = len(text) - len(text.lstrip())
    for kind, pattern in _PATTERNS:
        if found := pattern.match(text, lead):
            value = _value(found["n"])
            if value is None:
                continue
            return Marker(kind, value, re.sub(r"\s+", "", found["p"]), text[: found.end()])
    return read_doubtful(text)


def read_doubtful(text: str) -> Marker | None:
    """A plain number that is a marker only if the count confirms it: its dot is lost or odd, or a figure follows it."""
    lead = len(text) - len(text.lstrip())
    found = _LOST_DOT.match(text, lead) or _BEFORE_FIGURE.match(text, lead) or _ODD_MARK.match(text, lead)
    if found and int(found["n"]) > 0:
        return Marker("num", int(found["n"]), found["p"], text[: found.end()], certain=False)
    return None


def _value(count: str) -> int | None:
    if len(count) == 1 and unicodedata.category(count) == "No":
        return int(unicodedata.numeric(count))
    if count.isdecimal():
        value = int(count)
    else:
        try:
            value = chinese_number(count)
        except ValueError:
            return None
    return value if value > 0 else None
