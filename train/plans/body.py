"""Where the plan itself begins and ends inside a document: chrome, cover letter, contents and footer are cut away."""

from __future__ import annotations

import re

from train.plans.numbering import Marker
from train.plans.title import find_title, is_title

_FOOTER = re.compile(
    r"扫一扫|本文地址|特别提示|免责声明|相关(?:阅读|链接|新闻|文章|信息|最新|附件|解读|推荐)|推荐(?:阅读|最新|信息|新闻)|上一篇|下一篇|上一条|下一条|"
    r"主办单位?\s*[:：]|承办单位?\s*[:：]|网站地图|网站标识码|打印(?:本页|此页)|关闭(?:窗口|本页)|【?打印】|版权所有|ICP备|公网安备|"
    r"分享到|责任编辑|编辑\s*[:：]|附件下载|浏览次数|点击排行|联系我们|关于我们|热点推荐|返回顶部|转载请注明|声明\s*[:：]|^抄送|^主题词|"
    r"^(?:[(（]?此件.{0,6}公开[)）]?)$|印发$|^附\s*[:：]|阅读原文|微信公众号|^来源\s*[:：]|^\s*END\s*$"
)
_ATTACHMENT = re.compile(r"^附\s*[件表录]\s*\d*\s*[:：.、]?")
_PAGE_NUMBER = re.compile(r"^[\s\-—–·]*(?:第?\s*\d{1,4}\s*页?(?:\s*[/共,,]\s*\d{1,4}\s*页?)?)[\s\-—–·]*$")
_CONTENTS_ENTRY = re.compile(r"(?:[.…·．]\s*){3,}\s*\d{1,4}\s*$")
_CONTENTS = re.compile(r"^目\s*[录次]$")
_DATE_LINE = re.compile(r"^(?:二[〇○零]|20\d\d)\S{0,12}$|^\S{0,4}\d{4}\s*年\s*\d{1,2}\s*月\s*\d{1,2}\s*日$")
_SENTENCE_END = ("。", ";", "；", "!", "！", "?", "？", "”", ")", "）", "…")
SHORT = 30


def is_prose(text: str) -> bool:
    """Whether an unnumbered line reads as running text of a plan, not as a caption, a link or a signature."""
    text = text.strip()
    return len(text) >= 12 and (text.endswith(_SENTENCE_END) or len(text) >= 50) and not is_chrome(text)


def is_chrome(text: str) -> bool:
    """Whether a line is page furniture wherever it stands."""
    return bool(_FOOTER.search(text) or _PAGE_NUMBER.match(text))


def is_page_number(text: str) -> bool:
    """Whether a line is nothing but a page number."""
    return bool(_PAGE_NUMBER.match(text))


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
    return re.sub(r"[\s.…·．\d]+$", "", text)


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
    first = next((i for i, m in enumerate(markers) if m and m.certain), None)
    if first is None:
        title, at = find_title(lines)
        return at + 1, title, at
    later = _title_behind_letter(lines, markers, first)
    if later is not None:
        first = next(i for i in range(later, len(lines)) if markers[i])
    title, at = find_title(lines[:first])
    first = _styled_headings_above(lines, hints, first, at)
    return first, title, at


def _title_behind_letter(lines: list[str], markers: list[Marker | None], first: int) -> int | None:
    """A numbered cover letter stands before the plan when a title follows it and the count begins again at one."""
    for at in range(first + 1, len(lines)):
        following = next((m for m in markers[at + 1 :] if m), None)
        before = at - first
        if (
            is_title(lines[at])
            and not markers[at]
            and following is not None
            and following.value == 1
            and following.kind == getattr(markers[first], "kind", None)
            and before < 0.4 * len(lines)
        ):
            return at
    return None


def _styled_headings_above(lines: list[str], hints: list[int], first: int, title_at: int) -> int:
    """Takes in the headings without a number that stand directly above the first marker."""
    at = first
    while at - 1 > title_at and hints[at - 1] and not is_title(lines[at - 1]) and len(lines[at - 1]) <= 2 * SHORT:
        at -= 1
    return at


def find_end(lines: list[str], markers: list[Marker | None], start: int) -> int:
    """Where the footer begins: the index behind the plan's last line.

    A footer line ends the plan unless the count goes on behind it (furniture in the middle of a page).
    """
    last_value: dict[str, int] = {}
    for at in range(start, len(lines)):
        marker = markers[at]
        if marker:
            last_value[marker.kind] = marker.value
        elif at > start and ((is_chrome(lines[at]) and not is_page_number(lines[at])) or _ATTACHMENT.match(lines[at])):
            goes_on = any(m and m.value > 1 and m.value == last_value.get(m.kind, -9) + 1 for m in markers[at + 1 :])
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
    for at in range(last + 1, end):
        if not is_prose(lines[at]) or _DATE_LINE.match(lines[at]):
            return at
    return end
