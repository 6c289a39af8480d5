"""Pages and texts that explode, and every pattern of the readers on the strings that hurt patterns most."""

from __future__ import annotations

import importlib
import pkgutil
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from documents import saved_page, write
from guarded import Reading, read_guarded

import train.plans
import train.plans.formats

SECONDS, MIB = 30, 900
MIBS = 1 << 20
PLAN = "<h1>云泽县2025年工作要点</h1><p>1.推进医改。</p>"
LAUGHS = '<!DOCTYPE html [<!ENTITY a "哈哈哈哈哈">' + "".join(
    f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(9)
) + "]>"  # fmt: skip


def read(tmp_path: Path, name: str, content: bytes | str) -> Reading:
    reading = read_guarded(write(tmp_path, name, content))
    assert reading.seconds < SECONDS
    assert reading.mib < MIB
    assert not reading.deeds
    assert not reading.printed
    return reading


TOO_DEEP = "nested more than 2,048 deep: save the page again, or paste the plan into a .txt file"
DEEP: dict[str, Callable[[], str]] = {
    "boxes": lambda: "<div>" * 100_000 + PLAN,
    "tables": lambda: "<table><tr><td>" * 100_000 + PLAN,
    "lists": lambda: "<ul><li>" * 100_000 + PLAN,
    "lists with numbers": lambda: "<ol><li>" * 100_000 + PLAN,
    "quotations": lambda: "<blockquote>" * 100_000 + PLAN,
}


@pytest.mark.parametrize("name", DEEP)
def test_a_page_nested_a_hundred_thousand_deep_is_refused(tmp_path: Path, name: str) -> None:
    assert read(tmp_path, "a.html", DEEP[name]()).said == TOO_DEEP


READ: dict[str, tuple[str, Callable[[], bytes | str]]] = {
    "boxes 500 deep": (".html", lambda: "<div>" * 500 + PLAN),
    "letters of unclosed type": (".html", lambda: "<font><b>" * 100_000 + PLAN),
    "entities that laugh": (".html", lambda: LAUGHS + PLAN + "<p>&j;</p>"),
    "entities that laugh, in a saved page": (".mhtml", lambda: saved_page(LAUGHS + PLAN + "<p>&j;</p>", "utf-8")),
    "an entity that is a file": (".html", lambda: '<!DOCTYPE html [<!ENTITY a SYSTEM "file:///etc/hostname">]>' + PLAN + "&a;"),
    "a document type from the network": (".html", lambda: '<!DOCTYPE html SYSTEM "http://127.0.0.1:9/a.dtd">' + PLAN),
    "an inclusion": (".html", lambda: PLAN + '<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="/etc/hostname" parse="text"/>'),
    "things to fetch": (
        ".html", lambda: PLAN + '<img src="http://127.0.0.1:9/a"><link rel=stylesheet href="http://127.0.0.1:9/b"><iframe src="file:///etc/hostname">'
        '<base href="http://127.0.0.1:9/"><script src="http://127.0.0.1:9/c"></script><meta http-equiv=refresh content="0;url=http://127.0.0.1:9">',
    ),
    "a table of a thousand by a thousand merged cells": (
        ".html", lambda: "<table>" + "<tr><td colspan=1000 rowspan=65534>甲<td>乙</tr>" * 1_000 + "</table>" + PLAN,
    ),
    "a hundred thousand columns": (".html", lambda: "<table><tr>" + "<td>甲" * 100_000 + "</tr><tr><td>乙</tr></table>" + PLAN),
    "attributes without end": (".html", lambda: "<p " + "a=1 " * 100_000 + ">x</p>" + PLAN),
    "hidden parts in hidden parts": (".html", lambda: "<div hidden>" * 300 + PLAN),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_a_page_with_a_trap_is_read_and_the_trap_left_alone(tmp_path: Path, name: str) -> None:
    suffix, make = READ[name]
    reading = read(tmp_path, f"a{suffix}", make())
    assert reading.said == ""
    assert "推进医改。" in "".join(reading.items)
    assert "哈" * 6 not in "".join(reading.items)
    assert Path("/etc/hostname").read_text().strip() not in "".join(reading.items)


TEXTS: dict[str, Callable[[], str]] = {
    "a line of ten million characters": lambda: "1.推进医改，" * (10 * MIBS // 8),
    "a million short lines": lambda: "1.推进\n" * 1_000_000,
    "a million empty lines": lambda: "\n" * 1_000_000 + "1.推进医改。",
    "a million headings": lambda: "一、改\n" * 500_000 + "（一）革\n" * 500_000,
}


@pytest.mark.slow(reason="reads texts of several megabytes")
@pytest.mark.parametrize("name", TEXTS)
def test_a_gigantic_text_is_read_in_bounded_time_and_memory(tmp_path: Path, name: str) -> None:
    reading = read_guarded(write(tmp_path, "a.txt", TEXTS[name]()))
    assert reading.said == ""
    assert reading.seconds < 120
    assert reading.mib < 3_000


# ── Patterns ──────────────────────────────────────────────────────────────────────────────────────────────────────────

N = 100_000
PUMPS = [" ", "\t", "\n", "\r\n", "　", ".", "…", "·", "-", "—", "?", "(", ")", "（", "[", "《", "a", "ā", "1", "一", "十", "第", "年", "卫", "局", "、", ",", "，",
         ":", "：", ";", "<", "<a ", "<!--", "</", "&", "#", "**", "__", "*", "\0", "\ufffd", "\ue000", "卫?", "卫(wèi)", "(a", "1.", "1、", ". ", "a:\n", "a: b\n c\n",
         "名称:", "责任单位:", "好。(甲科)", "display", "style=", "一、", "市", "要点", "工作", "2025年", " -", "- ", "名 ", "目", "《a", "第 ", "<?xml ", "\ud800"]  # fmt: skip
TAILS = ["", "x", "!", "卫", "\n", ")", "。"]


def patterns() -> dict[str, re.Pattern[str]]:
    """Every compiled pattern on text in the readers and the outline."""
    found: dict[str, re.Pattern[str]] = {}
    for package in (train.plans, train.plans.formats):
        for info in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            for name, value in vars(importlib.import_module(info.name)).items():
                each = (
                    [value] if isinstance(value, re.Pattern) else [p for _, p in value] if name == "_PATTERNS" else []
                )
                found |= {
                    f"{info.name.removeprefix('train.plans.')}.{name}[{at}]": p
                    for at, p in enumerate(each)
                    if isinstance(p.pattern, str)
                }
    return found


def test_no_pattern_is_left_out() -> None:
    assert len(patterns()) > 60


# Asked only of strings of this length: the code around them sees to it.
BOUNDED = {
    "body._PAGE_NUMBER[0]": 30,
    "formats.signatures._HTML[0]": 4_096,
    "formats.signatures._WORD_2003[0]": 4_096,
} | {f"title.{name}[0]": 400 for name in ("_TITLE_END", "_FIELD", "_LABEL", "_ISSUER", "_ISSUER_FIELD")}


def searched(name: str) -> bool:
    """Whether the code looks for a pattern anywhere in a text, not only at its head."""
    module, _, variable = name.partition("[")[0].rpartition(".")
    source = Path(train.plans.__path__[0], *module.split(".")).with_suffix(".py").read_text(encoding="utf-8")
    return re.search(rf"\b{variable}\.(?:search|finditer|findall|sub|split)\(", source) is not None


@pytest.mark.slow(reason="runs every pattern on four hundred strings of a hundred thousand characters")
@pytest.mark.parametrize("name", sorted(patterns()))
def test_a_pattern_takes_time_in_proportion_to_the_text(name: str) -> None:
    pattern = patterns()[name]
    ask = pattern.search if searched(name) else pattern.match
    for pump in PUMPS:
        for tail in TAILS:
            text = pump * (BOUNDED.get(name, N) // len(pump)) + tail
            begin = time.process_time()
            ask(text)
            assert time.process_time() - begin < 2, (pump, tail)
