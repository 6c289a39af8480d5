"""A plan and its items: what the reader returns, and the way back to text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from train.errors import NoText
from train.plans.body import contents_lines, find_end, find_start, is_page_number, is_prose
from train.plans.lines import Line
from train.plans.numbering import read_marker
from train.plans.outline import Node, build, confirm
from train.plans.repair import RepairReport, Repairs, damage, repair
from train.plans.title import find_issuer, find_year
from train.plans.units import is_units, split_units

# What a line of the document became. All but "item" and "heading" are skips that `yaodian items --skipped` reports.
ROLES = ("item", "heading", "title", "before the plan", "contents", "general demands", "introduction", "page number",
         "not a sentence", "after the plan")  # fmt: skip

# How closing words begin: to whom they are addressed, what they are about, the days to come; and what is looked back on.
_CLOSING = re.compile(
    r"\s*(?:特此|以上|上述|抄送|主送|联系|附[:：件表]|[(（]|注[:：]|同志们|让我们|新的?一年|今后|下一步|下阶段|未来|展望|新征程|站在|面对|请|希望|要求"
    r"|总体来看|总的来看|存在|尽管|虽然|一年来|在(?:总结|肯定|看到|取得)|本(?:要点|计划|方案|通知|意见)|各[^,，。]{0,20}[要应须将请]"
    r"|(?:全|我|本)[省市县区州旗盟镇乡系院局委们][^。]{0,40}[要将应]|(?:20\d\d|今)年[,，]?(?:我|全[省市县区州旗盟系院局委]|让))"
    r"|.*(?:凝心聚力|不懈奋斗|作出[^,，。]{0,8}贡献|不足|短板|困难|问题[^,，。]{0,6}存在)"
)
# Tasks that go on in a paragraph of their own are short; closing words that the pattern misses are long.
_LONGEST_TASK = 80


@dataclass(slots=True)
class Item:
    """One numbered point of a plan.

    Attributes:
        number: as printed (`12`, `(三)`, `一是`); "" for a paragraph of a plan without numbers.
        path: the headings above it, outermost first, as printed.
        text: without number and units; the paragraphs of an item are joined by line breaks.
        units: the trailing bracket of lead and responsible units, "" if there is none.
        flags: stretches of `text` that could not be recovered.
    """

    number: str
    path: list[str]
    text: str
    units: str = ""
    flags: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Plan:
    """A document read as a plan.

    Attributes:
        name: path as given, relative to the input folder.
        title, year, issuer: best effort, None where the document does not tell.
        items: in reading order.
        lines: every non-blank line of the document, repaired, with its role (one of `ROLES`).
        repairs: what the repair steps changed.
    """

    name: str
    title: str | None = None
    year: int | None = None
    issuer: str | None = None
    items: list[Item] = field(default_factory=list)
    lines: list[tuple[str, str]] = field(default_factory=list)
    repairs: RepairReport = field(default_factory=RepairReport)

    @property
    def skipped(self) -> list[tuple[int, str, str]]:
        """(line number from 1, role, text) of every line that is neither item nor heading."""
        return [(at, role, text) for at, (text, role) in enumerate(self.lines, 1) if role not in ("item", "heading")]

    def rows(self) -> list[dict[str, Any]]:
        """The items in the row contract; `flags` only where something could not be recovered."""
        head = {"plan": self.name, "title": self.title, "year": self.year, "issuer": self.issuer}
        rows = []
        for item in self.items:
            row = head | {"number": item.number, "path": item.path, "text": item.text, "units": item.units}
            rows.append(row | {"flags": item.flags} if item.flags else row)
        return rows

    def to_text(self) -> str:
        """Prints the outline so that reading it again gives the same items."""
        return outline_text(self.title, [(i.number, i.path, i.text, i.units) for i in self.items])


def outline_text(title: str | None, items: Sequence[tuple[str, list[str], str, str]]) -> str:
    """Prints (number, path, text, units) rows as a plan: each heading once, where it first applies."""
    lines = [title] if title else []
    open_path: list[str] = []
    for number, path, text, units in items:
        common = 0
        while common < min(len(path), len(open_path)) and path[common] == open_path[common]:
            common += 1
        lines += path[common:]
        open_path = list(path)
        lines.append(_separator(number, text) + text + units)
    return "\n".join(lines) + "\n"


def _separator(number: str, text: str) -> str:
    """What stands between a number and the text; a figure at the head of the text keeps away from the dot."""
    if re.fullmatch(r"\d+", number):
        return f"{number}. " if text[:1].isdecimal() else f"{number}."
    if re.fullmatch("[〇零一二三四五六七八九十百]+", number):
        return f"{number}、"
    if number.startswith(("任务", "行动", "工程", "举措")):
        return f"{number}："
    if number.startswith("第") or re.fullmatch(r"[\d.]+", number):
        return f"{number} "
    return number


def read_plan(source: str | Path | Sequence[Line], *, name: str | None = None, repairs: Repairs | None = None) -> Plan:
    """Reads one document into a plan.

    Args:
        source: a file in any format of `train.plans.files.SUFFIXES`, or lines already read.
        name: what rows show as `plan`; the file's name by default.
        repairs: which repair steps run; all by default.

    Raises:
        InputError: the file cannot be read; the message names it and says what to do.
        NoText: no line of text in it.
    """
    if isinstance(source, (str, Path)):
        from train.plans.files import read_lines

        path = Path(source)
        name = name or path.name
        read: Sequence[Line] = read_lines(path)
        if not any(line.text.strip() for line in read):
            raise NoText(path, "no text in it")
    else:
        read, name = source, name or ""
    return _read(read, name, repairs)


def _read(read: Sequence[Line], name: str, repairs: Repairs | None) -> Plan:
    read = [line for line in read if line.text.strip()]
    texts, report = repair([line.text for line in read], repairs)
    kept = [(t, line.heading) for t, line in zip(texts, read, strict=True) if t.strip()]
    texts, hints = [t for t, _ in kept], [h for _, h in kept]
    plan = Plan(name, repairs=report)
    roles = ["before the plan"] * len(texts)
    contents = contents_lines(texts)
    markers = [None if at in contents else read_marker(text) for at, text in enumerate(texts)]
    markers = confirm(texts, markers)
    start, plan.title, title_at = find_start(texts, markers, hints)
    end = find_end(texts, markers, start)
    plan.year = find_year(plan.title, texts[:start])
    plan.issuer = find_issuer(plan.title, texts[:start], texts[end:])
    _mark_front(roles, contents, title_at, start)
    roles[end:] = ["after the plan"] * (len(texts) - end)
    root = build(texts, markers, hints, start, end)
    for at in range(start, end):
        if is_page_number(texts[at]) and not markers[at]:
            roles[at] = "page number"
    _drop_closing(root, roles)
    _collect(root, [], "", plan.items, roles)
    plan.lines = list(zip(texts, roles, strict=True))
    return plan


def _drop_closing(root: Node, roles: list[str]) -> None:
    """Words to the reader behind the very last item close the plan and are none of it, if no numbered item has a second paragraph."""
    last, others = root, False
    while last.children:
        others = others or any(_has_tail(child) for child in last.children[:-1])
        last = last.children[-1]
    if last.marker and not last.is_heading and not others:
        closes_at = next(
            (at for at, text in last.paragraphs if len(text) > _LONGEST_TASK or _CLOSING.match(text)), len(roles)
        )
        for at, text in last.paragraphs:
            if at >= closes_at and not is_units(text):
                roles[at] = "after the plan"
        last.paragraphs = [(at, text) for at, text in last.paragraphs if at < closes_at or is_units(text)]


def _has_tail(node: Node) -> bool:
    own = bool(node.marker) and not node.is_heading and any(not is_units(text) for _, text in node.paragraphs)
    return own or any(_has_tail(c) for c in node.children)


def _mark_front(roles: list[str], contents: set[int], title_at: int, start: int) -> None:
    for at in range(start):
        if at in contents:
            roles[at] = "contents"
        elif at == title_at:
            roles[at] = "title"
        elif 0 <= title_at < at:
            roles[at] = "general demands"


def _collect(node: Node, path: list[str], general: str, items: list[Item], roles: list[str]) -> None:
    """Turns a node and what is below it into items, in reading order, and writes the role of every line.

    Args:
        general: below a heading of general demands: "paragraphs" are no items, or "all" that stands there is none.
    """
    heads = node.is_heading
    if node.kind == "root" or heads:
        if heads:
            roles[node.at] = "heading"
            path = [*path, node.printed]
        if heads and general != "all" and node.is_general:
            general = "all" if node.is_all_general else "paragraphs"
        _paragraph_items(node, path, bool(general), items, roles)
    elif general == "all":
        for at in [node.at, *(at for at, _ in node.paragraphs)]:
            roles[at] = "general demands"
    else:
        _numbered_item(node, path, items, roles)
    for child in node.children:
        _collect(child, path, general, items, roles)


def _paragraph_items(node: Node, path: list[str], general: bool, items: list[Item], roles: list[str]) -> None:
    own: list[Item] = []
    for at, text in node.paragraphs:
        if general or (node.kind == "root" and node.children):
            roles[at] = "general demands"
        elif node.children and node.children[0].at > at:
            roles[at] = "introduction"
        elif (not is_prose(text) and node.kind == "root") or (is_units(text) and not own):
            roles[at] = "not a sentence"
        elif is_units(text):
            roles[at] = "item"
            own[-1].units += text
        else:
            roles[at] = "item"
            own.append(_item("", path, text))
    items.extend(own)


def _numbered_item(node: Node, path: list[str], items: list[Item], roles: list[str]) -> None:
    for at in [node.at, *(at for at, _ in node.paragraphs)]:
        roles[at] = "item"
    text = "\n".join([node.text, *(text for _, text in node.paragraphs)]).strip()
    item = _item(node.marker.printed if node.marker else "", path, text)
    if item.text:
        items.append(item)
    else:
        for at in [node.at, *(at for at, _ in node.paragraphs)]:
            roles[at] = "not a sentence"


def _item(number: str, path: list[str], text: str) -> Item:
    body, units = split_units(text)
    return Item(number, list(path), body, units, damage(body))
