"""Where the plan itself begins and ends inside a document: chrome, cover letter, contents and footer are cut away."""

from __future__ import annotations

import math
import re

from train.plans.numbering import Marker
from train.plans.title import find_title, is_title
from train.plans.units import is_units

_FOOTER = re.compile(
    r"扫一扫|本文地址|特别提示|免责声明|相关(?:阅读|链接|新闻|文章|信息|最新|附件|解读|推荐)|推荐(?:阅读|最新|信息|新闻)|上一篇|下一篇|上一条|下一条|"
    r"主办单位?\s*[:：]|承办单位?\s*[:：]|网站地图|网站标识码|打印(?:本页|此页)|关闭(?:窗口|本页)|【?打印】|版权所有|ICP备|公网安备|"
    r"分享到|责任编辑|编辑\s*[:：]|附件下载|浏览次数|点击排行|联系我们|关于我们|热点推荐|返回顶部|转载请注明|声明\s*[:：]|^抄送|^主题词|"
    r"^(?:[(（]?此件.{0,6}公开[)）]?)$|印发$|^附\s*[:：]|阅读原文|微信公众号|^来源\s*[:：]|^\s*END\s*$"
)
# A whole sentence is furniture only if it opens as one: `通过微信公众号提供预约服务。` is none.
_DISCLAIMER = re.compile(
    r"扫一扫|本文地址|特别提示|免责声明|声明\s*[:：]|版权所有|转载请注明|抄送|主题词|附\s*[:：]|来源\s*[:：]"
)
_ATTACHMENT = re.compile(r"^附\s*[件表录]\s*\d*\s*[:：.、]?")
_PAGE_NUMBER = re.compile(r"^[\s\-—–·]*(?:第?\s*\d{1,4}\s*页?(?:\s*[/共,，]\s*\d{1,4}\s*页?)?)[\s\-—–·]*$")
_CONTENTS_ENTRY = re.compile(r"(?:[.…·．][ \t]{0,3}){3}[ \t]{0,40}\d{1,4}[ \t]{0,8}$")
_CONTENTS = re.compile(r"^目\s{0,9}[录次]$")
_CAPTION_STOP = re.compile(r"[。,，;；!！、:：>|]|\d{4}年\d")
# Ends of a signature; a line like that above the first number is no heading.
_SIGNATURE = re.compile(r"(?:[局委办院会]|中心|政府|科)$|^[\d年月日〇○零一二三四五六七八九十\s.\-()（）]+$")
_DATE_LINE = re.compile(r"^(?:二[〇○零]|20\d\d)[^\s。]{0,12}$|^\S{0,4}\d{4}\s*年\s*\d{1,2}\s*月\s*\d{1,2}\s*日$")
_SENTENCE_END = ("。", ";", "；", "!", "！", "?", "？", "”", ")", "）", "…")
SHORT = 30


def is_prose(text: str) -> bool:
    """Whether an unnumbered line reads as running text of a plan, not as a caption, a link or a signature."""
    text = text.strip()
    least = 8 if text.endswith("。") and not text.startswith("特此") else 12
    return len(text) >= least and (text.endswith(_SENTENCE_END) or len(text) >= 50) and not is_chrome(text)


def is_caption(text: str) -> bool:
    """Whether a line without a number is short and bare enough to be a heading: no punctuation, no date, no furniture."""
    return len(text) <= SHORT and not _CAPTION_STOP.search(text) and not is_chrome(text)


def is_chrome(text: str) -> bool:
    """Whether a line is page furniture wherever it stands."""
    footer = _DISCLAIMER.match(text) if text.endswith("。") else _FOOTER.search(text)
    return bool(footer) or is_page_number(text)


def is_page_number(text: str) -> bool:
    """Whether a line is nothing but a page number."""
    return len(text) <= SHORT and bool(_PAGE_NUMBER.match(text))


def contents_lines(lines: list[str]) -> set[int]:
    """Indices of a printed table of contents: entries with leader dots, or what follows `目录` until the plan repeats it."""
    found = {at for at, text in enumerate(lines) if _CONTENTS_ENTRY.search(text)}
    for at, text in enumerate(lines):
        if not _CONTENTS.match(text):
            continue
        found.add(at)
        entries = list(range(at + 1, min(at + 80, len(lines))))
        if not entries:
            break
        first = _entry(lines[entries[0]])
        again = next((i for i in entries[1:] if first and _entry(lines[i]) == first), None)
        if again is not None:
            found.update(range(at, again))
        break
    return found


def _entry(text: str) -> str:
    return text.rstrip(" .…·．0123456789")


def find_start(lines: list[str], markers: list[Marker | None], hints: list[int]) -> tuple[int, str | None, int]:
    """Where the plan's own numbering begins.

    Args:
        lines: all lines, repaired.
        markers: the marker of each line.
        hints: the heading level that the format gives each line, 0 for none.

    Returns:
        (index of the first line of the body, title, index of the title's line or -1). A document without numbers begins
        behind its title.
    """
    first = next((i for i, m in enumerate(markers) if m and (m.certain or m.value == 1)), None)
    if first is None:
        title, at = find_title(lines)
        return at + 1, title, at
    later = _title_behind_letter(lines, markers, first)
    if later is not None:
        first = next(i for i in range(later, len(lines)) if markers[i])
    title, at = find_title(lines[:first])
    return _headings_above(lines, markers, hints, first, at), title, at


def _title_behind_letter(lines: list[str], markers: list[Marker | None], first: int) -> int | None:
    """A numbered cover letter stands before the plan when a title follows it and the count begins again at one."""
    kind = getattr(markers[first], "kind", None)
    title, title_at = find_title(lines[:first])
    has_title = title is not None and title_at >= 0 and not title.endswith(("通知", "函", "公告"))
    ahead = next_markers(markers)
    for at in range(first + 1, min(len(lines), first + math.ceil(0.4 * len(lines)))):
        if has_title and _ATTACHMENT.match(lines[at]) and not markers[at]:
            return None  # the plan began at its own title, and what follows is attached to it
        following = ahead[at]
        if following and following.value == 1 and following.kind == kind and not markers[at] and is_title(lines[at]):
            return at
    return None


def next_markers(markers: list[Marker | None]) -> list[Marker | None]:
    """For each line the next marker behind it."""
    ahead: list[Marker | None] = []
    following = None
    for marker in reversed(markers):
        ahead.append(following)
        following = marker or following
    return ahead[::-1]


def _headings_above(lines: list[str], markers: list[Marker | None], hints: list[int], first: int, title_at: int) -> int:
    """Takes in the headings without a number that stand directly above the first marker.

    Sections above them whose headings have the same level are part of the plan too. Where the format marks no heading, one
    bare line is taken if the same series is headed by such a line again later.
    """
    at, titles = first, range(title_at + 1, first)
    while at - 1 > title_at and hints[at - 1] and not is_title(lines[at - 1]) and len(lines[at - 1]) <= 2 * SHORT:
        at -= 1
    if at < first:
        return next(
            (i for i in titles if hints[i] == hints[at] and is_caption(lines[i]) and not is_title(lines[i])), at
        )
    if at - 1 <= title_at or not _heads_series(lines[at - 1]):
        return at
    kind = getattr(markers[first], "kind", None)
    for below in range(first + 2, len(lines)):
        marker, above = markers[below], lines[below - 1]
        if marker and marker.kind == kind and not markers[below - 1] and _heads_series(above):
            return at - 1 if lines[below - 2].endswith(_SENTENCE_END) else at
    return at


def _heads_series(text: str) -> bool:
    return is_caption(text) and not is_title(text) and not _SIGNATURE.search(text)


def find_end(lines: list[str], markers: list[Marker | None], start: int) -> int:
    """Where the footer begins: the index behind the plan's last line.

    A footer line ends the plan unless the count goes on behind it (furniture in the middle of a page).
    """
    last_value: dict[str, int] = {}
    last_at = {(m.kind, m.value): at for at, m in enumerate(markers) if m}
    for at in range(start, len(lines)):
        marker = markers[at]
        if marker:
            last_value[marker.kind] = marker.value
        elif at > start and ((is_chrome(lines[at]) and not is_page_number(lines[at])) or _ATTACHMENT.match(lines[at])):
            goes_on = any(last_at.get((kind, value + 1), -1) > at for kind, value in last_value.items())
            if not goes_on:
                return _without_signature(lines, markers, start, at)
    return _without_signature(lines, markers, start, len(lines))


def _without_signature(lines: list[str], markers: list[Marker | None], start: int, end: int) -> int:
    """Steps back over a signature, dates and other lines that are no sentence, behind the last numbered line."""
    last = max((i for i in range(start, end) if markers[i]), default=None)
    if last is None:
        while end > start and not is_prose(lines[end - 1]):
            end -= 1
        return end
    open_heading = _is_open_heading(lines, markers, start, last)
    for at in range(last + 1, end):
        bare = _heads_tail(lines, last, at, end) or (open_heading and _heads_series(lines[at]))
        ends_sentence = lines[at].endswith("。") and not lines[at - 1].endswith(
            _SENTENCE_END
        )  # of a wrapped line, however short
        if _DATE_LINE.match(lines[at]) or not (is_prose(lines[at]) or is_units(lines[at]) or bare or ends_sentence):
            return at
    return end


def _is_open_heading(lines: list[str], markers: list[Marker | None], start: int, last: int) -> bool:
    """Whether the last number of all heads a section, whose lines may then be as bare as those of the sections before: none of its kind stands alone."""
    kind = getattr(markers[last], "kind", None)
    before = [at for at in range(start, last) if getattr(markers[at], "kind", None) == kind]
    stands_alone = any(getattr(markers[at + 1], "kind", None) == kind for at in before)
    return bool(before) and not stands_alone and len(lines[last]) <= SHORT and not lines[last].endswith(_SENTENCE_END)


def _heads_tail(lines: list[str], last: int, at: int, end: int) -> bool:
    """Whether a bare line heads a paragraph of the last section, which has no numbers of its own."""
    open_section = len(lines[last]) <= 2 * SHORT and not lines[last].endswith(_SENTENCE_END)
    return open_section and at + 1 < end and _heads_series(lines[at]) and is_prose(lines[at + 1])
