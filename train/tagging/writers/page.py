"""One self-contained web page that reads the items plan by plan, with filters by theme, plan and words.

The rows go into the page as JSON and are drawn by `page.js` as text, a hundred at a time, so that nothing in a plan can become markup and three
hundred plans stay quick. The page asks for nothing outside itself, and its content security policy names the digests of its one script
and one style sheet: should anything slip through, a browser still runs no other.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from train.rows import Row
from train.tagging.writers.columns import extra_of, legible, scores_of
from train.taxonomy import Taxonomy

_TITLE = "工作计划条目 Items of work plans"
_SLOT = re.compile(r"\{\{(\w+)\}\}")
# `</script>` and `<!--` would end or change the script element; the last two are line ends in the JavaScript of old browsers.
_UNSAFE = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}


class Page:
    """Everything before the rows is written at once, plans and headings (named by number in the rows) after them."""

    def __init__(self, out: BinaryIO, taxonomy: Taxonomy | None, title: str) -> None:
        self._out, self._taxonomy = out, taxonomy
        self._plans: dict[tuple[str, ...], int] = {}
        self._paths: dict[tuple[str, ...], int] = {}
        self._joint = "\n"
        style, script = _beside("page.css"), _beside("page.js")
        allowed = f"style-src '{_digest(style)}'; script-src '{_digest(script)}'"
        head, self._tail = _beside("page.html").split("{{rows}}")
        self._slots = {
            "title": html.escape(legible(title) or _TITLE),
            "policy": f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'",
            "style": style,
            "script": script,
            "themes": as_script_data(_themes(taxonomy)),
        }
        self._put(_filled(head, self._slots))

    def add(self, rows: Sequence[Row]) -> None:
        """Writes rows into the page."""
        for row in rows:
            self._put(self._joint + as_script_data(self._record(row)))
            self._joint = ",\n"

    def finish(self, failures: Sequence[tuple[str, str]]) -> None:
        """Writes plans, headings, the inputs that could not be read, and the script."""
        slots = {
            "plans": as_script_data(list(self._plans)),
            "paths": as_script_data(list(self._paths)),
            "failures": "\n".join(f"<tr>{_cell(file)}{_cell(reason)}</tr>" for file, reason in failures),
            "n_failures": str(len(failures)),
            "failures_shown": "" if failures else " hidden",
        }
        self._put(_filled(self._tail, self._slots | slots))

    def abandon(self) -> None:
        """Holds nothing."""

    def _record(self, row: Row) -> dict[str, Any]:
        """A row in few letters: p plan, n number, h headings, t text, u units, l labels, s scores, x extra."""
        plan = tuple(legible(row.get(name)) for name in ("plan", "title", "year", "issuer"))
        path = tuple(legible(heading) for heading in row.get("path") or [])
        record: dict[str, Any] = {
            "p": self._plans.setdefault(plan, len(self._plans)),
            "n": legible(row.get("number")),
            "h": self._paths.setdefault(path, len(self._paths)),
            "t": legible(row.get("text")),
        }
        if row.get("units"):
            record["u"] = legible(row["units"])
        if row.get("labels") is not None:
            record["l"] = [legible(key) for key in row["labels"]]
        if self._taxonomy and row.get("scores"):
            record["s"] = [None if s is None else round(s, 3) for s in scores_of(row, self._taxonomy)]
        if extra := extra_of(row | {"year": None}, self._taxonomy):
            record["x"] = json.loads(legible(extra), parse_constant=str)  # NaN is no JSON to a browser
        return record

    def _put(self, text: str) -> None:
        self._out.write(text.encode())


def as_script_data(value: Any) -> str:
    """JSON that stays data inside a `<script>` element whatever it says."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).translate(_UNSAFE)


def _cell(text: str) -> str:
    return f"<td>{html.escape(legible(text))}</td>"


def _themes(taxonomy: Taxonomy | None) -> list[dict[str, str]]:
    themes = taxonomy.themes if taxonomy else ()
    return [{"key": t.key, "zh": t.zh, "en": t.en, "colour": t.colour, "definition": t.definition} for t in themes]


def _filled(template: str, slots: Mapping[str, str]) -> str:
    """Fills all `{{slots}}` in one pass, so that what a plan says is never taken for a slot."""
    return _SLOT.sub(lambda slot: slots[slot[1]], template)


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _beside(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
