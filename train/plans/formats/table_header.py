"""The header of a plan printed as a table: which column counts, which says the task, who does it, by when."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_SEARCHED = 6  # rows: above the header stand at most a title, a unit of measure, a date
_HEADER_CHARS = 24  # a longer cell is content
_SPACES = re.compile(r"\s+")

_NUMBER = re.compile(r"(?:项目|任务|工作|事项)?(?:序号|编号|序)|序列|项次|No\.?", re.IGNORECASE)
_UNITS = re.compile(
    r"(?:牵头|责任|主责|主办|承办|配合|协办|协同|协作|参与|参加|落实|实施|承担|执行|负责|分管|主管|主抓|联系|督办|督导|包联)"
    r".{0,4}(?:单位|部门|科室|科|处室|处|股室|机构|领导|人员|人|方|分工)(?:[(（].{1,8}[)）])?"
    r"|(?:科室|单位|部门|领导|科长)"
    r"|.{0,4}(?:时限|时间|期限|日期|节点|进度|频次)(?:要求|安排|节点)?"
    r"|备注|说明"
)
_CATEGORY = re.compile(
    r".{0,4}(?:类别|分类|类型|大类|板块|领域|方面|模块|门类|条线|章节)|(?:一|二)级(?:指标|任务|目录)|项目|专项|类"
)
_TEXT = re.compile(
    r"任务|内容|措施|举措|事项|目标|要求|要点|重点|工作|指标|标准|成效|成果|效果|名称|做法|安排|项目|计划|活动|职责|步骤|主题"
)
# The index table of a government page has label and value side by side; it is no plan.
_INDEX = re.compile(
    r"发文|发布(?:日期|时间|机构|单位)|成文|公开(?:方式|时限|属性|程度)|索引号|文号|生效|有效性|浏览|^来源$|\d{4}[-./年]\d{1,2}"
)


@dataclass(frozen=True)
class Header:
    """The columns of a plan's table.

    Attributes:
        words: the header words, one per column.
        number: the column that counts the rows.
        categories: columns whose values are headings above rows.
        texts: columns that make up the item, left to right.
        units: (column, header word) of who and when.
    """

    words: tuple[str, ...]
    number: int | None
    categories: tuple[int, ...]
    texts: tuple[int, ...]
    units: tuple[tuple[int, str], ...]

    def repeated_by(self, row: Sequence[str]) -> bool:
        """Whether a row is this header again, as on every printed page."""
        words = [_word(cell) for cell in row]
        return all(own.endswith(word) for own, word in zip(self.words, words, strict=True)) and any(words)


def find_header(grid: Sequence[Sequence[str]]) -> tuple[int, Header, int] | None:
    """The header among the first rows of a table.

    Returns:
        (rows above it, the header, index of the first row below it), or None.
    """
    for at, row in enumerate(grid[:_SEARCHED]):
        words = [_word(cell) for cell in row]
        if not _is_header(words):
            continue
        below = at + 1
        if below < len(grid) and (both := _two_storeys(words, [_word(cell) for cell in grid[below]])):
            words, below = both, below + 1
        header = _columns(words)
        if header and below < len(grid):
            return at, header, below
    return None


def _word(cell: str) -> str:
    return _SPACES.sub("", cell).strip("：:*")


def _is_header(words: Sequence[str]) -> bool:
    """Short words, a text column, and a number or a unit beside it; one value in all columns is a title."""
    named = [word for word in words if word]
    if len(set(named)) < 2 or any(len(word) > _HEADER_CHARS or _INDEX.search(word) for word in named):
        return False
    roles = [_role(word) for word in words]
    known = sum(role is not None for role in roles)
    item = any(role in ("text", "category") for role in roles)
    return item and any(role in ("number", "units") for role in roles) and 2 * known >= len(named)


def _role(word: str) -> str | None:
    for role, pattern in (("number", _NUMBER), ("units", _UNITS), ("category", _CATEGORY)):
        if pattern.fullmatch(word):
            return role
    return "text" if _TEXT.search(word) and len(word) <= _HEADER_CHARS / 2 else None


def _two_storeys(upper: Sequence[str], lower: Sequence[str]) -> list[str] | None:
    """The words of a header of two rows: cells merged downwards, and narrower words below a wide one."""
    merged = sum(bool(up) and up == low for up, low in zip(upper, lower, strict=True))
    narrower = sum(bool(low) and up != low and _role(low) is not None for up, low in zip(upper, lower, strict=True))
    others = sum(bool(low) and up != low and _role(low) is None for up, low in zip(upper, lower, strict=True))
    if not merged or not narrower or others > narrower:
        return None
    return [low or up for up, low in zip(upper, lower, strict=True)]


def _columns(words: Sequence[str]) -> Header | None:
    roles: list[str | None] = [_role(word) for word in words]
    if (
        roles.count("number") > 1
    ):  # `序号` of the part and `序号` of the task: the right one counts the rows, the left one the parts
        last = len(roles) - 1 - roles[::-1].index("number")
        roles = ["category" if role == "number" and i != last else role for i, role in enumerate(roles)]
    if "text" not in roles and "category" in roles:
        last = len(roles) - 1 - roles[::-1].index("category")
        roles[last] = "text"
    if "text" not in roles:
        return None
    # A column whose word says nothing belongs to the text; after the units it is a remark.
    first_unit = roles.index("units") if "units" in roles else len(roles)
    roles = [role or ("text" if i < first_unit or not words[i] else "units") for i, role in enumerate(roles)]
    return Header(
        tuple(words),
        roles.index("number") if "number" in roles else None,
        tuple(i for i, role in enumerate(roles) if role == "category"),
        tuple(i for i, role in enumerate(roles) if role == "text"),
        tuple((i, words[i]) for i, role in enumerate(roles) if role == "units"),
    )
