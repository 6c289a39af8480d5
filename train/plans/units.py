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
_LABEL = re.compile(r"(?:牵头|责任|配合|负责|主办|协办|承办|实施)(?:单位|科室|处室|股室|部门|人)?\s*[:：]")
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
    while rest:
        body = rest.rstrip("。.;； ")
        start = _opening(body)
        if start is None:
            break
        inner, before = body[start + 1 : -1], body[:start].rstrip()
        if not (_ROLE.match(inner) or (_only_offices(inner) and before.endswith(tuple(_STOP)))):
            break
        stop = stop or rest[len(body) :].strip()
        units = rest[len(before) : len(body)].strip() + units
        rest = before
    if not units:
        return _bare_units(text.strip())
    if rest and stop and rest[-1] not in _STOP:
        rest += stop[0]
    return rest, units


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
    names = [n.strip() for n in re.split(r"[、,,;;]|(?<=[科处股局委])和", inner) if n.strip()]
    return bool(names) and all(len(n) <= 25 and _OFFICE.search(re.sub(r"[(（].*[)）]$", "", n)) for n in names)


def _bare_units(text: str) -> tuple[str, str]:
    """`…。责任单位:疾控科` without brackets: from the first role label behind a full stop to the end."""
    for found in _LABEL.finditer(text):
        before = text[: found.start()].rstrip()
        tail = text[found.start() :]
        if before and before[-1] in _STOP and len(tail) <= 200 and "。" not in tail[:-1]:
            return before, tail.strip()
    return text, ""
