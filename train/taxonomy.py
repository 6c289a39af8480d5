"""The ordered set of themes: read from YAML, checked, and turned into Label Studio's interface."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import yaml

from train.errors import TaxonomyError
from train.resources import resource

NONE = "none"  # the choice “none of these”
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_PALETTE = (
    "#1f77b4",
    "#ff7f0e",
    "#2ca02c",
    "#d62728",
    "#9467bd",
    "#8c564b",
    "#e377c2",
    "#7f7f7f",
    "#bcbd22",
    "#17becf",
)
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
# Columns of a row, and the answer “none of these”.
_RESERVED = {
    NONE,
    "plan",
    "title",
    "year",
    "issuer",
    "number",
    "path",
    "text",
    "units",
    "labels",
    "scores",
    "flags",
    "extra",
}
_FIELDS = {"key", "zh", "en", "definition", "colour", "keywords"}


@dataclass(frozen=True, slots=True)
class Theme:
    """One label.

    Attributes:
        key: ASCII name used in rows, configs and columns.
        zh, en: names for people.
        definition: one line, for annotators.
        colour: `#rrggbb`, in the annotation interface and the reports.
        keywords: regular expressions of the keyword-list baseline; none are needed.
    """

    key: str
    zh: str
    en: str
    definition: str
    colour: str
    keywords: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Taxonomy:
    """Themes in column order."""

    themes: tuple[Theme, ...]

    @property
    def keys(self) -> list[str]:
        """Theme keys in column order."""
        return [t.key for t in self.themes]

    def __len__(self) -> int:
        return len(self.themes)

    def ordered(self, keys: Iterable[str]) -> list[str]:
        """The given keys in taxonomy order, without repetition."""
        wanted = set(keys)
        return [k for k in self.keys if k in wanted]

    @classmethod
    def load(cls, path: str | Path | None = None) -> Taxonomy:
        """Reads a taxonomy file; the six themes of a health work plan by default.

        Raises:
            TaxonomyError: the file is missing, is no YAML, or breaks a rule; all faults are named at once.
        """
        path = Path(path) if path else resource("labels") / "taxonomy.yaml"
        try:
            data = yaml.safe_load(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise TaxonomyError(
                f"{path}: cannot be read ({error.strerror}); give a taxonomy file, labels=PATH"
            ) from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise TaxonomyError(f"{path}: not a YAML file in UTF-8 ({str(error).splitlines()[0]})") from None
        return cls.parse(data, str(path))

    @classmethod
    def parse(cls, data: Any, source: str) -> Taxonomy:
        """Builds a taxonomy from parsed YAML, `{themes: [{key, zh, en, definition, colour}, …]}`, or from bare names, `{key: name, …}`.

        Raises:
            TaxonomyError: with all faults of the file, each with the theme it is about.
        """
        if isinstance(data, dict) and data and all(isinstance(name, str) for name in data.values()):
            data = {"themes": [_bare(str(key), name, at) for at, (key, name) in enumerate(data.items())]}
        entries = data.get("themes") if isinstance(data, dict) else None
        if not isinstance(entries, list) or not entries:
            raise TaxonomyError(f"{source}: expected a list `themes:` with at least one theme")
        faults, keys = [], list[str]()
        for number, entry in enumerate(entries, 1):
            if not isinstance(entry, dict):
                faults.append(f"theme {number} is not a mapping")
                continue
            faults += _faults_of(entry, number)
            keys.append(str(entry.get("key")))
        faults += [f"duplicate key {k}" for k in dict.fromkeys(keys) if keys.count(k) > 1]
        if faults:
            raise TaxonomyError(f"{source}: " + "; ".join(faults))
        return cls(tuple(_theme(e) for e in entries))

    def dump(self) -> str:
        """The taxonomy as YAML that `load` reads back."""
        entries = [
            {"key": t.key, "zh": t.zh, "en": t.en, "definition": t.definition, "colour": t.colour}
            | ({"keywords": list(t.keywords)} if t.keywords else {})
            for t in self.themes
        ]
        return yaml.safe_dump({"themes": entries}, allow_unicode=True, sort_keys=False, width=1000)

    def label_studio_interface(self) -> str:
        """The labelling configuration for Label Studio: the item between its neighbours, one checkbox per theme and `none`."""
        from xml.sax.saxutils import quoteattr  # brings urllib.request, .03 s that tagging does not need

        choices = "\n".join(
            f"    <Choice value={quoteattr(t.key)} alias={quoteattr(t.key)} html={quoteattr(_caption(t))} "
            f"hint={quoteattr(t.definition)} {_hotkey(n)}background={quoteattr(t.colour)}/>"
            for n, t in enumerate(self.themes, 1)
        )
        return f"""<View>
  <Header value="$title" size="4"/>
  <Header value="$path" size="5"/>
  <View style="opacity: .6; margin: 4px 0"><Text name="before" value="$before"/></View>
  <View style="display: flex; align-items: baseline; gap: 8px; border-left: 3px solid #1f77b4; padding-left: 8px">
    <Header value="$number" size="4"/>
    <View style="flex: 1; font-size: 110%"><Text name="item" value="$text" granularity="paragraph"/><Text name="units" value="$units"/></View>
  </View>
  <View style="opacity: .6; margin: 4px 0"><Text name="after" value="$after"/></View>
  <Choices name="themes" toName="item" choice="multiple" showInline="true" required="true" requiredMessage="请选主题,或选“以上都不是” Choose themes, or none">
{choices}
    <Choice value="{NONE}" html="以上都不是 None of these" hotkey="0" background="#9e9e9e"/>
  </Choices>
  <TextArea name="comment" toName="item" rows="1" editable="true" placeholder="备注(可不填)Comment, optional"/>
</View>
"""


def _bare(key: str, name: str, at: int) -> dict[str, str]:
    """The entry of a theme of which nothing but the name is known."""
    return {"key": key, "zh": name, "en": key, "definition": name, "colour": _PALETTE[at % len(_PALETTE)]}


def _hotkey(n: int) -> str:
    return f'hotkey="{n}" ' if n < 10 else ""  # a key of two digits would be pressed as two keys


def _caption(theme: Theme) -> str:
    """With its colour as a bar: Label Studio ignores the background of a checkbox."""
    bar = f"border-left: 4px solid {theme.colour}; padding-left: 6px"
    return f'<span style="{bar}">{escape(theme.zh, quote=False)} {escape(theme.en, quote=False)}</span>'


def _faults_of(entry: dict[str, Any], number: int) -> list[str]:
    key, name = entry.get("key"), entry.get("key") or f"theme {number}"
    faults = []
    if not isinstance(key, str) or not _KEY.fullmatch(key) or key in _RESERVED:
        faults.append(
            f"theme {number}: key must be ASCII letters, digits and _ such as elder_care and no column of a row, got {key!r}"
        )
    faults += [f"{name}: `{f}` is missing" for f in ("zh", "en", "definition") if not str(entry.get(f) or "").strip()]
    if not _COLOUR.fullmatch(str(entry.get("colour", ""))):
        faults.append(f"{name}: colour must look like '#1f77b4', got {entry.get('colour')!r}")
    if unknown := sorted(set(map(str, entry)) - _FIELDS):
        faults.append(f"{name}: unknown field {', '.join(unknown)}")
    return faults + _keyword_faults(entry.get("keywords") or [], str(name))


def _keyword_faults(patterns: Any, name: str) -> list[str]:
    if not isinstance(patterns, list):
        return [f"{name}: keywords must be a list of regular expressions"]
    faults = []
    for pattern in patterns:
        try:
            re.compile(str(pattern))
        except re.error as error:
            faults.append(f"{name}: keyword {pattern!r} is no regular expression ({error})")
    return faults


def _theme(entry: dict[str, Any]) -> Theme:
    words = tuple(str(w) for w in entry.get("keywords") or [])
    return Theme(entry["key"], str(entry["zh"]), str(entry["en"]), str(entry["definition"]), entry["colour"], words)
