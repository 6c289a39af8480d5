from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st

from train.errors import TaxonomyError
from train.taxonomy import Taxonomy, Theme

GOOD = {"key": "roads", "zh": "道路", "en": "Roads", "definition": "修路", "colour": "#d62728"}


def parse(*entries: Any) -> Taxonomy:
    return Taxonomy.parse({"themes": list(entries)}, "my.yaml")


def test_the_shipped_taxonomy_has_the_six_themes_in_order() -> None:
    taxonomy = Taxonomy.load()
    assert taxonomy.keys == ["disease_control", "maternal_child", "elder_care", "tcm", "party_building", "reform"]
    assert len(taxonomy) == 6
    assert all(theme.keywords for theme in taxonomy.themes)


def test_labels_are_put_in_column_order_once() -> None:
    taxonomy = parse(GOOD, GOOD | {"key": "water"}, GOOD | {"key": "air"})
    assert taxonomy.ordered(["air", "roads", "air"]) == ["roads", "air"]


keys = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True).filter(lambda k: k != "none")
words = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1).filter(str.strip)
themes = st.builds(
    Theme, keys, words, words, words, st.from_regex(r"#[0-9a-f]{6}", fullmatch=True),
    st.lists(st.sampled_from(["路|桥", "(?:a|b)+", "#1: x"])).map(tuple),
)  # fmt: skip


@given(st.lists(themes, min_size=1, max_size=4, unique_by=lambda t: t.key).map(lambda ts: Taxonomy(tuple(ts))))
def test_a_taxonomy_that_is_written_is_read_back(taxonomy: Taxonomy) -> None:
    assert Taxonomy.parse(yaml.safe_load(taxonomy.dump()), "x") == taxonomy


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([GOOD, GOOD, GOOD | {"key": "water"}], r"^my\.yaml: duplicate key roads$"),
        (
            [GOOD | {"key": "ro ads"}],
            r"theme 1: key must be ASCII letters, digits and _ such as elder_care .* got 'ro ads'",
        ),
        ([GOOD | {"key": "道路"}], "key must be ASCII letters"),
        ([GOOD | {"key": "none"}], "and no column of a row, got 'none'"),
        ([GOOD | {"key": 3}], "got 3"),
        ([GOOD | {"zh": " "}], "roads: `zh` is missing"),
        ([{k: v for k, v in GOOD.items() if k != "definition"}], "roads: `definition` is missing"),
        ([GOOD | {"colour": "red"}], "roads: colour must look like '#1f77b4', got 'red'"),
        ([GOOD | {"color": "#000000"}], "roads: unknown field color"),
        ([GOOD | {"keywords": ["("]}], r"roads: keyword '\(' is no regular expression \(missing"),
        ([GOOD | {"keywords": "路"}], "roads: keywords must be a list of regular expressions"),
        ([GOOD | {"keywords": 3}], "keywords must be a list"),
        (["roads"], "theme 1 is not a mapping"),
        ([], "expected a list `themes:` with at least one theme"),
    ],
)
def test_rules_that_are_broken_are_named(entries: list[Any], message: str) -> None:
    with pytest.raises(TaxonomyError, match=message):
        parse(*entries)


def test_all_faults_of_a_file_are_named_at_once() -> None:
    with pytest.raises(TaxonomyError) as stop:
        parse(GOOD | {"colour": "red"}, GOOD | {"zh": ""}, 7)
    message = str(stop.value)
    assert all(part in message for part in ("colour must", "`zh` is missing", "theme 3 is not", "duplicate key roads"))
    assert "\n" not in message


@pytest.mark.parametrize("data", [None, [], "themes", {"themes": {}}, {"theme": [GOOD]}])
def test_a_file_of_another_kind_is_refused(data: Any) -> None:
    with pytest.raises(TaxonomyError, match=r"my\.yaml: expected a list `themes:`"):
        Taxonomy.parse(data, "my.yaml")


def test_bare_names_make_a_taxonomy_with_colours_of_their_own() -> None:
    taxonomy = Taxonomy.parse({f"DV{n}": f"要素{n}" for n in range(1, 13)}, "names.json")
    assert taxonomy.keys[:2] == ["DV1", "DV2"]
    assert (taxonomy.themes[0].zh, taxonomy.themes[0].en) == ("要素1", "DV1")
    assert taxonomy.themes[0].colour == taxonomy.themes[10].colour != taxonomy.themes[1].colour
    assert Taxonomy.parse({"themes": yaml.safe_load(taxonomy.dump())["themes"]}, "again") == taxonomy


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(
        TaxonomyError, match=r"none\.yaml: cannot be read \(No such file.*give a taxonomy file, labels="
    ):
        Taxonomy.load(tmp_path / "none.yaml")
    bad = tmp_path / "bad.yaml"
    bad.write_text("themes: [", encoding="utf-8")
    with pytest.raises(TaxonomyError, match=r"bad\.yaml: not a YAML file in UTF-8"):
        Taxonomy.load(bad)
    bad.write_bytes("themes: 道路".encode("gb18030"))
    with pytest.raises(TaxonomyError, match="not a YAML file in UTF-8"):
        Taxonomy.load(bad)


def test_the_interface_has_a_checkbox_for_each_theme_and_one_for_none() -> None:
    taxonomy = parse(*(GOOD | {"key": f"t{n}", "definition": 'a < b & "c"'} for n in range(11)))
    view = ElementTree.fromstring(taxonomy.label_studio_interface())
    choices = view.findall("Choices/Choice")
    assert [c.get("value") for c in choices] == [*taxonomy.keys, "none"]
    assert choices[0].get("hint") == 'a < b & "c"'
    assert [c.get("hotkey") for c in choices] == [*"123456789", None, None, "0"]
    shown = {e.get("value") for e in view.iter() if e.tag in ("Text", "Header")}
    assert shown == {"$title", "$path", "$number", "$before", "$text", "$units", "$after"}


def test_the_codebooks_speak_of_every_theme() -> None:
    for name in ("codebook.md", "codebook.zh-CN.md"):
        text = (ROOT / "labels" / name).read_text(encoding="utf-8")
        for theme in Taxonomy.load().themes:
            assert theme.key in text, (name, theme.key)
