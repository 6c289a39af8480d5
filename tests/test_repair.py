import re
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.plans.repair import RepairReport, Repairs, damage, fold_width, is_traditional, repair

TRADITIONAL = "深化醫療衛生體制改革,推動醫聯體建設,強化監測預警,發揮縣級醫院龍頭作用,健全應急機制。"
SIMPLIFIED = "深化医疗卫生体制改革,推动医联体建设,强化监测预警,发挥县级医院龙头作用,健全应急机制。"
# One line per step that changes under this step and under no other.
ONE_LINE = {
    "invisible": ["推进\u200b改革\u3000深化"],
    "mojibake": [SIMPLIFIED.encode().decode("latin-1")],
    "pinyin": ["卫(wèi)生与医(yī)疗的发(fā)展"],
    "question_marks": ["??? 深化改革"],
    "traditional": [TRADITIONAL],
    "width": ["１２％"],
}


def only(step: str) -> Repairs:
    return Repairs.without({f.name for f in fields(Repairs)} - {step})


def test_every_step_has_an_example() -> None:
    assert set(ONE_LINE) == {f.name for f in fields(Repairs)}


@pytest.mark.parametrize("step", ONE_LINE)
def test_a_step_runs_alone_is_counted_and_can_be_switched_off(step: str) -> None:
    lines = ["深化改革。", *ONE_LINE[step]]
    mended, report = repair(lines, only(step))
    assert mended[0] == lines[0]
    assert mended[1] != lines[1]
    assert report.changed == {step: 1}
    kept, without = repair(lines, Repairs.without({step}))
    assert step not in without.changed
    if step not in ("mojibake", "invisible"):
        assert kept[1] == lines[1]


def test_nothing_runs_when_all_is_switched_off() -> None:
    lines = [line for example in ONE_LINE.values() for line in example]
    assert repair(lines, Repairs(*[False] * len(fields(Repairs)))) == (lines, RepairReport({}))


def test_an_unknown_step_is_refused_with_the_list_of_steps() -> None:
    with pytest.raises(ValueError, match=r"no repair step colour, shape; the steps are mojibake, invisible, pinyin"):
        Repairs.without({"shape", "width", "colour"})


def test_the_report_names_what_was_done() -> None:
    assert str(repair(["１.深化改革。", "２.健全机制。"])[1]) == "width 2"
    assert str(repair(["深化改革。"])[1]) == "none"


def test_traditional_script_becomes_simplified() -> None:
    assert repair([TRADITIONAL])[0] == [SIMPLIFIED]


def test_a_stray_traditional_character_does_not_convert_a_simplified_plan() -> None:
    line = "深化医疗卫生体制改革，推动医联体建设，健全监测预警机制，发挥县级医院龙头作用於基层，强化应急处置能力建设。"
    assert not is_traditional(line)
    assert repair([line])[0] == [line]


@pytest.mark.parametrize("text", ["", "2024 plan", "１２３"])
def test_a_text_without_chinese_characters_is_not_traditional(text: str) -> None:
    assert not is_traditional(text)


def test_pinyin_debris_goes_and_other_brackets_stay() -> None:
    lines = ["深化醫(yī)療衛(wèi)生體(tǐ)制改革,推動(dòng)發(fā)展(gdp)(試行)(一)。"]
    assert repair(lines, Repairs.without({"traditional"}))[0] == ["深化醫療衛生體制改革,推動發展(試行)(一)。"]


def test_two_toned_brackets_are_a_gloss_and_no_debris() -> None:
    line = "“行(xíng)”与“长(zhǎng)”的读音培训。"
    assert repair([line])[0] == [line]


def test_question_marks_for_ideographic_spaces_go_and_those_for_text_stay() -> None:
    lines = ["??? 一、深化改革", "聯?系?人:甲", "培育重点专科???个", "您满意吗?"]
    mended, _ = repair(lines, only("question_marks"))
    assert mended == ["一、深化改革", "聯系人:甲", "培育重点专科???个", "您满意吗?"]


def test_utf8_that_was_read_as_latin_letters_comes_back() -> None:
    assert repair([SIMPLIFIED.encode().decode("latin-1")])[0] == [SIMPLIFIED]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("培育临床重点???个", ["???"]),
        ("提升?能力,完成\ufffd\ufffd项", ["?", "\ufffd\ufffd"]),
        ("建成\ue003个中心", ["\ue003"]),
        ("深化(āé)改革", ["(āé)"]),
        ("您满意吗?", []),
        ("推进改革。", []),
    ],
)
def test_what_cannot_be_recovered_is_listed(text: str, found: list[str]) -> None:
    assert damage(text) == found


def test_digits_letters_and_signs_are_folded_and_punctuation_is_not() -> None:
    assert fold_width("１．ＣＴ、ＭＲＩ≥９５％，（一）：；。") == "1.CT、MRI≥95%，（一）：；。"


def test_surrogates_become_what_they_stand_for_or_a_sign_of_damage() -> None:
    mended, _ = repair(["\ud840\udc00与\ud800字"], Repairs(*[False] * len(fields(Repairs))))
    assert mended == ["𠀀与\ufffd字"]
    assert damage(mended[0]) == ["\ufffd"]


@given(st.lists(st.text(st.characters(), max_size=40), max_size=8))
def test_as_many_lines_come_out_as_went_in_and_a_second_pass_finds_no_width_to_fold(lines: list[str]) -> None:
    mended, report = repair(lines)
    assert len(mended) == len(lines)
    assert all(0 <= count <= len(lines) for count in report.changed.values())
    assert not re.search("[０-９Ａ-Ｚ％]", "".join(mended))
