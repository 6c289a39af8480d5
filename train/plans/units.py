"""The trailing bracket that says who does it: `(牵头单位:…;责任单位:…)`. It leaks the theme, so it leaves the text."""

from __future__ import annotations

import re

_PAIRS = {")": "(", "）": "（", "〕": "〔", "】": "【", "]": "["}
_CLOSERS = {"(": ")）", "（": ")）", "〔": "〕", "【": "】", "[": "]"}
_ROLE = re.compile(
    r"^\s*(?:牵头|责任|配合|负责|主办|协办|承办|落实|分管|参与|参加|完成时[限间]|时间[节要安]|时限|实施单位|实施主体|实施科室|"
    r"主责|组织单位|联系领导|负责人|责任人|牽頭|責任|負責|實施|完成時|各.{1,12}(?:按|依).{0,4}(?:职责|分工))"
)
# A bracket without a role word counts only behind a full stop and when all in it are offices.
_OFFICE = re.compile(
    r"(?:科室?|处室?|股室?|局|委|办|室|中心|医院|站|所|部门?|协会|单位|机构|卫生院|等|组|大队|支队|政府)$"
)
_LABEL = re.compile(r"(?:牵头|责任|配合|负责|主办|协办|承办|实施|分管)(?:单位|科室|处室|股室|部门|领导|人)?\s*[:：]")
# `(甲科牵头,乙科配合)`, `(由甲科负责)`: a role at the end, which counts behind a full stop only.
_ROLE_LAST = re.compile(r"^[^。:：]{2,150}(?:负责|牵头|配合|参与|承办|协办|组织实施|抓落实)$")
_LONGEST_BARE = 200
_MOST_BRACKETS = 20  # in a row; more are debris, and taking them one by one takes time that grows with their square
_STOP = "。.!！;；"


def split_units(text: str) -> tuple[str, str]:
    """Cuts the units from the end of an item.

    Args:
        text: an item without its number.

    Returns:
        The text before the units, and the units with their brackets as printed ("" if there are none). Several brackets in
        a row are all taken; a full stop behind the last bracket goes back to the text if it ended without one.

    Example:
        >>> split_units("推进总药师制度。(牵头单位:药政科;责任单位:各医院(含民营))")
        ('推进总药师制度。', '(牵头单位:药政科;责任单位:各医院(含民营))')
    """
    rest, units, stop = text.rstrip(), "", ""
    for _ in range(_MOST_BRACKETS):
        body = rest.rstrip("。.;； ")
        start = _opening(body)
        if start is None:
            break
        inner, before = body[start + 1 : -1], body[:start].rstrip()
        stopped = before.endswith(tuple(_STOP))
        if not (_ROLE.match(inner) or (stopped and (_only_offices(inner) or _ROLE_LAST.match(inner)))):
            break
        stop = stop or rest[len(body) :].strip()
        units = rest[len(before) : len(body)].strip() + units
        rest = before
    if not units:
        return _bare_units(text.strip())
    if rest and stop and rest[-1] not in _STOP:
        rest += stop[0]
    return rest, units


def is_units(text: str) -> bool:
    """Whether a paragraph is nothing but units: a bracket of its own, or `责任单位:疾控科` without one."""
    text = text.strip()
    bare = _LABEL.match(text) and len(text) <= _LONGEST_BARE and "。" not in text[:-1]
    return bool(bare) or not split_units(text)[0]


def _opening(text: str) -> int | None:
    """Where the bracket that closes at the end of the text opens; nested brackets of either width are counted."""
    if not text or text[-1] not in _PAIRS:
        return None
    closers = _CLOSERS[_PAIRS[text[-1]]]
    openers = "(（" if closers == ")）" else _PAIRS[text[-1]]
    depth = 0
    for at in range(len(text) - 1, -1, -1):
        if text[at] in closers:
            depth += 1
        elif text[at] in openers:
            depth -= 1
            if depth == 0:
                return at
    return None


def _only_offices(inner: str) -> bool:
    names = [n.strip() for n in re.split(r"[、,，;；]|(?<=[科处股局委])和", inner) if n.strip()]
    return bool(names) and all(len(n) <= 25 and _OFFICE.search(re.sub(r"[(（].*[)）]$", "", n)) for n in names)


def _bare_units(text: str) -> tuple[str, str]:
    """`…。责任单位:疾控科` without brackets, or with one never closed: from the first role label behind a stop to the end."""
    for found in _LABEL.finditer(text, max(0, len(text) - _LONGEST_BARE - 1)):
        front = text[: found.start()].rstrip(" \t(（[【〔")
        before = front.rstrip()
        tail = text[len(before) :].strip()
        if (
            before
            and (before[-1] in _STOP or front[-1] == "\n")
            and len(tail) <= _LONGEST_BARE
            and "。" not in tail[:-1]
        ):
            return before, tail
    return text, ""
