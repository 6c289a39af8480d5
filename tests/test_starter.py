import re
from pathlib import Path

import pytest
from documents import write

from train import read_plan
from train.corpus.starter import CODES, raw_text, rows_of_source
from train.errors import RowError
from train.taxonomy import Taxonomy

HEAD = "#! id: q01\n#! title: 甲县2025年卫生健康工作要点\n#! year: 2025\n#! issuer: 甲县卫生健康局\n#! level: 县\n#! kind: 要点\n---\n"
BODY = (
    "甲县2025年卫生健康工作要点\n\n全县要牢固树立大健康理念。\n\n一、公共卫生\n1.完善传染病监测预警机制,开设发热门诊。(责任单位:疾控股)⟦dc⟧\n"
    "2.推行总额付费,落实中医药服务。⟦rf,tcm⟧\n二、其他\n3.做好信息公开。⟦⟧\n\n甲县卫生健康局\n2025年3月1日\n"
)


def test_a_tagged_plan_becomes_rows_that_print_the_plan_again() -> None:
    rows = rows_of_source(HEAD + BODY, "q01")
    assert [(r["number"], r["labels"]) for r in rows] == [
        ("1", ["disease_control"]),
        ("2", ["tcm", "reform"]),
        ("3", []),
    ]
    assert (rows[0]["plan"], rows[0]["year"], rows[0]["units"]) == ("q01", 2025, "(责任单位:疾控股)")
    assert rows[2]["path"] == ["二、其他"]
    assert raw_text(rows) == re.sub(r"⟦.*?⟧|(?<=\n)\n", "", BODY)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (BODY, "q01: expected a head with id, title, year, issuer, level, kind, then a line ---"),
        (HEAD.replace("#! year: 2025\n", "") + BODY, "expected a head with id, title, year"),
        (HEAD + BODY.replace("⟦dc⟧", "⟦dc,xx⟧"), "q01: unknown tag xx; the tags are dc, mc, ec, tcm, pb, rf"),
        (HEAD + BODY.replace("⟦dc⟧", ""), r"q01: line 4 is no item by its tag, but is read otherwise: 1\.完善传染病"),
        (
            HEAD + BODY.replace("公共卫生\n", "公共卫生⟦dc⟧\n"),
            "q01: line 3 is an item by its tag, but is read otherwise: 一、公共卫生",
        ),
    ],
)
def test_a_source_with_wrong_tags_is_refused(source: str, message: str) -> None:
    with pytest.raises(RowError, match=message):
        rows_of_source(source, "q01")


def test_the_tags_stand_for_the_themes_of_the_taxonomy() -> None:
    assert list(CODES.values()) == Taxonomy.load().keys


@pytest.mark.parametrize("script", ["", "traditional", "debris"])
def test_the_raw_plan_is_read_as_its_rows_whatever_its_script(script: str, tmp_path: Path) -> None:
    rows = rows_of_source(HEAD.replace("---", f"#! script: {script}\n---") + BODY, "q01")
    raw = raw_text(rows)
    assert ["傳染病" in raw, "(yī)" in raw] == [script != "", script == "debris"]
    again = read_plan(write(tmp_path, "q01.txt", raw))
    assert [(i.number, i.path, i.text, i.units) for i in again.items] == [
        (r["number"], r["path"], r["text"], r["units"]) for r in rows
    ]
