from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from chromium import CHROMIUM, browse
from rich.console import Console

from train.errors import OutputError
from train.evaluation.report import Report, compare
from train.taxonomy import Taxonomy

TAXONOMY = Taxonomy.parse(
    {
        "themes": [
            {"key": "alpha", "zh": "甲类", "en": "Alpha", "definition": "甲", "colour": "#ff0000"},
            {"key": "beta", "zh": "乙<类>[b]", "en": "Beta", "definition": "乙", "colour": "#00ff00"},
            {"key": "gamma", "zh": "丙类", "en": "Gamma", "definition": "丙", "colour": "#0000ff"},
        ]
    },
    "made up",
)


def row(plan, text, *labels):
    return {"plan": plan, "number": "7", "path": ["一、总则"], "text": text, "units": "", "labels": list(labels)}


ROWS = [
    row("p.txt", "做好疫苗接种", "alpha"),
    row("p.txt", "漏掉的<script>alert(1)</script>条目", "alpha", "beta"),
    row("q.txt", "多标的条目"),
    row("q.txt", "乙类工作", "beta"),
]
SCORES = np.array([[0.9, 0.1, 0.0], [0.8, 0.45, 0.1], [0.97, 0.2, 0.1], [0.2, 0.7, 0.3]])
# alpha: tp 2, fp 1: F1 4/5 · beta: tp 1, fn 1: F1 2/3 · gamma: no support · macro 11/15 · micro 2·3 / (6 + 1 + 1) = 3/4
# exactly right: items 0 and 3
PREDICTED = SCORES >= 0.5
NOTHING = np.zeros_like(PREDICTED)


@pytest.fixture
def report() -> Report:
    return compare(ROWS, TAXONOMY, SCORES, PREDICTED, {"keyword_list": NOTHING, "tfidf_linear": PREDICTED})


def printed(report: Report, width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width)
    report.render(console)
    return console.file.getvalue()


class Texts(HTMLParser):
    """Collects tags and visible text."""

    def __init__(self):
        super().__init__()
        self.opened, self.closed, self.texts = [], [], []

    def handle_starttag(self, tag, attrs):
        self.opened.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        self.closed.append(tag)

    def handle_data(self, data):
        self.texts.append(data)


def parsed(path) -> Texts:
    page = Texts()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def test_the_model_and_the_baselines_are_scored_on_the_same_items(report):
    assert report.model.macro_f1 == pytest.approx(11 / 15)
    assert report.model.micro_f1 == 3 / 4
    assert report.model.subset_accuracy == 2 / 4
    assert report.baselines["keyword_list"].micro_f1 == 0
    assert report.baselines["tfidf_linear"] == report.model


def test_json_has_the_contract_at_top_level_and_the_same_for_each_baseline(report, tmp_path):
    report.write_json(tmp_path / "out.json")
    found = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    contract = ["macro_f1", "micro_f1", "subset_accuracy", "n_items", "n_plans", "per_label", "ci95"]
    assert list(found) == [*contract, "baselines"]
    assert found["per_label"]["gamma"]["f1"] is None
    assert list(found["baselines"]) == ["keyword_list", "tfidf_linear"]
    assert list(found["baselines"]["keyword_list"]) == contract
    assert found == report.as_dict()


def test_items_that_repeat_training_items_are_left_out_of_a_second_score():
    found = compare(ROWS, TAXONOMY, SCORES, PREDICTED, repeats=np.array([True, False, False, False]))
    # without item 0: alpha tp 1, fp 1: 2/3; beta 2/3
    assert found.without_near_duplicates.macro_f1 == pytest.approx(2 / 3)
    assert found.as_dict()["without_near_duplicates"]["n_items"] == 3
    assert "without near-duplicates of training (3 items)" in printed(found)


def said_on_the_page(report: Report, tmp_path) -> list[str]:
    report.write_html(tmp_path / "out.html")
    return re.findall('<p class="caution">(.*)</p>', (tmp_path / "out.html").read_text(encoding="utf-8"))


def test_how_many_items_repeat_training_items_is_said_wherever_the_figures_stand(tmp_path):
    found = compare(ROWS, TAXONOMY, SCORES, PREDICTED, repeats=np.array([True, False, True, False]))
    caution = "2 of 4 items nearly repeat items that the model was trained on"
    assert printed(found).splitlines()[-1] == caution
    assert (found.as_dict()["repeated"], found.as_dict()["cautions"]) == (2, [caution])
    assert said_on_the_page(found, tmp_path) == [
        f'4 条中有 2 条与模型训练过的条目重复或近似重复 <span class="en" lang="en">{caution}</span>'
    ]


def test_if_every_item_repeats_a_training_item_the_report_says_that_the_f1_is_worth_nothing(tmp_path):
    found = compare(ROWS, TAXONOMY, SCORES, PREDICTED, repeats=np.ones(4, bool))
    assert found.without_near_duplicates is None
    assert "without_near_duplicates" not in found.as_dict()
    caution = "4 of 4 items nearly repeat items that the model was trained on: this F1 says nothing about new plans"
    assert printed(found).splitlines()[-1] == caution
    assert (found.as_dict()["repeated"], found.as_dict()["cautions"]) == (4, [caution])
    assert said_on_the_page(found, tmp_path) == [
        f'4 条中有 4 条与模型训练过的条目重复或近似重复:这个 F1 不能说明模型在新计划上的表现 <span class="en" lang="en">{caution}</span>'
    ]


def test_notes_stand_in_the_terminal_in_the_json_and_on_the_page(tmp_path):
    note = ("对照少学了 <b>", "the baselines know [b]fewer[/b] rows")
    found = compare(ROWS, TAXONOMY, SCORES, PREDICTED, repeats=np.ones(4, bool), notes=[note])
    assert printed(found).splitlines()[-2] == note[1]  # the caution has the last word
    assert found.as_dict()["notes"] == [note[1]]
    found.write_html(tmp_path / "out.html")
    page = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert f'<p>对照少学了 &lt;b&gt; <span class="en" lang="en">{note[1]}</span></p>' in page


def test_a_single_item_that_repeats_one_is_counted_in_the_singular():
    found = compare(ROWS[:1], TAXONOMY, SCORES[:1], PREDICTED[:1], repeats=np.ones(1, bool))
    assert "1 of 1 item nearly repeats items that the model was trained on: this F1" in printed(found)


def test_without_repeats_there_is_no_caution_and_their_number_is_known_only_if_they_were_sought(report, tmp_path):
    sought = compare(ROWS, TAXONOMY, SCORES, PREDICTED, repeats=np.zeros(4, bool))
    assert sought.as_dict()["repeated"] == 0
    assert not {"repeated", "notes"} & set(report.as_dict())
    for found in (sought, report):
        assert "cautions" not in found.as_dict()
        assert "trained on" not in printed(found)
        assert said_on_the_page(found, tmp_path) == []


def test_wrong_items_come_with_gold_predicted_and_scores_the_most_surprising_first(report):
    assert [(item.row["text"][:2], item.gold, item.predicted) for item in report.wrong] == [
        ("多标", [], ["alpha"]),  # .97 where 0 was annotated
        ("漏掉", ["alpha", "beta"], ["alpha"]),  # .45 where 1 was annotated
    ]
    assert [round(item.surprise, 2) for item in report.wrong] == [0.97, 0.55]
    assert report.wrong[0].scores == {"alpha": 0.97, "beta": 0.2, "gamma": 0.1}


def test_the_terminal_shows_every_theme_and_every_figure(report):
    text = printed(report)
    lines = [re.split(r"\s{2,}", line.strip()) for line in text.splitlines()]
    assert [line for line in lines if line != [""]][:3] == [
        ["keyword", "TF-IDF"],
        ["list", "linear"],
        ["theme", "support", "precision", "recall", "F1", "F1", "F1"],
    ]
    assert ["甲类", "alpha", "2", "0.667", "1.000", "0.800", "0.000", "0.800"] in lines
    assert ["丙类", "gamma", "0", "—", "—", "—", "—", "—"] in lines
    assert "乙<类>[b]" in text  # not taken for markup
    model = next(line for line in lines if line[0] == "model")
    assert model[1].startswith("0.733 (")
    assert model[2].startswith("0.750 (")
    assert model[3] == "0.500"
    assert (
        "4 items, 2 plans; in brackets 95% intervals, bootstrap over plans; too narrow with fewer than 10 plans" in text
    )


def test_a_narrow_terminal_keeps_theme_keys_and_intervals_in_one_piece(report):
    text = printed(report, width=80)
    assert max(map(len, text.splitlines())) <= 80
    assert all(word in text for word in (*TAXONOMY.keys, "support", "precision", "recall", "subset accuracy"))
    assert len(re.findall(r"\d\.\d{3} \(\d\.\d{3}–\d\.\d{3}\)", text)) == 6


def test_one_plan_has_no_interval_and_says_so():
    found = compare(ROWS[:2], TAXONOMY, SCORES[:2], PREDICTED[:2])
    assert "2 items, 1 plan; no intervals from fewer than two plans" in printed(found)
    assert "(" not in printed(found)


def test_a_baseline_of_another_name_is_shown_by_it():
    assert "my_rules" in printed(compare(ROWS, TAXONOMY, SCORES, PREDICTED, {"my_rules": NOTHING}))


def test_the_page_shows_chinese_first_all_figures_and_all_wrong_items(report, tmp_path):
    report.write_html(tmp_path / "out.html")
    text = "".join(parsed(tmp_path / "out.html").texts)
    for expected in (
        "评估报告 Evaluation",
        "甲类 alpha",
        "0.800",
        "0.733",
        "标错的条目(2)",
        "多标的条目",
        "无主题 none",
        "甲类 0.97",
    ):
        assert expected in text
    assert "p.txt › 一、总则 › 7" in text
    assert "4 条、2 份计划" in text
    assert "计划少于 10 份,区间偏窄,仅供参考" in text


def test_whatever_comes_from_rows_and_taxonomy_is_escaped(report, tmp_path):
    report.write_html(tmp_path / "out.html")
    page = parsed(tmp_path / "out.html")
    assert [tag for tag, _ in page.opened].count("script") == 1  # the page's own
    text = "".join(page.texts)
    assert "漏掉的<script>alert(1)</script>条目" in text
    assert "乙<类>[b]" in text


ATTACKS = [
    "</script><script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "\"'><svg/onload=document.title='owned'>",
    "]]></style></title></option></select><script>document.title='owned'</script>",
]


def attacked() -> Report:
    """A report whose every text is an attack."""
    themes = [
        {"key": f"theme_{at}", "zh": attack, "en": attack, "definition": attack, "colour": "#ff0000"}
        for at, attack in enumerate(ATTACKS)
    ]
    taxonomy = Taxonomy.parse({"themes": themes}, "made up")
    rows = [
        row(attack, attack, key) | {"path": [attack], "number": attack, "title": attack}
        for attack, key in zip(ATTACKS, taxonomy.keys, strict=True)
    ]
    nothing = np.zeros((len(rows), len(themes)), dtype=bool)
    return compare(rows, taxonomy, nothing.astype(float), nothing, {ATTACKS[0]: nothing})


def test_no_text_of_a_row_or_a_taxonomy_becomes_markup(tmp_path):
    attacked().write_html(tmp_path / "out.html")
    page = parsed(tmp_path / "out.html")
    assert not {tag for tag, _ in page.opened} & {"img", "svg"}
    assert [tag for tag, _ in page.opened].count("script") == 1
    assert not [name for _, attrs in page.opened for name in attrs if name.startswith("on")]
    assert all(attack in "".join(page.texts) for attack in ATTACKS)


def test_the_policy_of_the_page_allows_its_own_script_only(tmp_path):
    attacked().write_html(tmp_path / "out.html")
    source = (tmp_path / "out.html").read_text(encoding="utf-8")
    script = re.search("<script>(.*?)</script>", source, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = next(attrs["content"] for _, attrs in parsed(tmp_path / "out.html").opened if attrs.get("http-equiv"))
    assert policy == (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


@pytest.mark.slow(reason="starts a browser")
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_a_browser_shows_the_report_and_runs_nothing_of_a_rows(tmp_path):
    attacked().write_html(tmp_path / "out.html")
    drawn = browse(tmp_path / "out.html", tmp_path)
    assert "<title>owned</title>" not in drawn
    assert "<title>评估报告 Evaluation</title>" in drawn


def test_the_page_is_well_formed_and_needs_nothing_else(report, tmp_path):
    report.write_html(tmp_path / "out.html")
    page = parsed(tmp_path / "out.html")
    void = {"meta"}
    assert sorted(tag for tag, _ in page.opened if tag not in void) == sorted(page.closed)
    assert not [attrs for _, attrs in page.opened if "src" in attrs or "href" in attrs]
    assert "url(" not in (tmp_path / "out.html").read_text(encoding="utf-8")


def test_wrong_themes_of_an_item_are_marked_for_the_filter(report, tmp_path):
    report.write_html(tmp_path / "out.html")
    page = parsed(tmp_path / "out.html")
    assert [attrs["data-wrong"] for tag, attrs in page.opened if tag == "article"] == ["alpha", "beta"]
    classes = [attrs.get("class") for _, attrs in page.opened]
    # once in the legend and once on the item
    assert (classes.count("theme missed"), classes.count("theme extra")) == (2, 2)


def test_a_page_without_wrong_items_says_none(tmp_path):
    gold = np.array([[True, False, False], [True, True, False], [False, False, False], [False, True, False]])
    compare(ROWS, TAXONOMY, SCORES, gold).write_html(tmp_path / "out.html")
    assert "没有。 None." in "".join(parsed(tmp_path / "out.html").texts)


def test_half_a_surrogate_pair_in_a_text_does_not_stop_the_page(tmp_path):
    rows = [ROWS[0], ROWS[1] | {"text": "坏字\ud83d"}, *ROWS[2:]]
    compare(rows, TAXONOMY, SCORES, PREDICTED).write_html(tmp_path / "out.html")
    assert "坏字&#55357;" in (tmp_path / "out.html").read_text(encoding="utf-8")


def test_an_output_that_cannot_be_written_is_named(report, tmp_path):
    place = tmp_path / "missing" / "out.html"
    with pytest.raises(OutputError) as caught:
        report.write_html(place)
    assert str(caught.value) == f"{place}: cannot be written (No such file or directory); choose another place"
    with pytest.raises(OutputError, match="Is a directory"):
        report.write_json(tmp_path)


def test_a_report_without_support_anywhere_can_be_shown(report, tmp_path):
    rows = [item | {"labels": []} for item in ROWS]
    found = compare(rows, TAXONOMY, SCORES, NOTHING)
    assert "—" in printed(found)
    found.write_json(tmp_path / "out.json")
    found.write_html(tmp_path / "out.html")
    assert "width:nan" not in (tmp_path / "out.html").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["macro_f1"] is None


def test_a_report_can_be_built_by_hand(report):
    assert replace(report, baselines={}).as_dict()["baselines"] == {}
