import codecs
import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opencc import OpenCC

from train.plans.formats.encoding import NotText, decode

SENTENCES = [
    "推进县域医共体建设,完善分级诊疗制度。",
    "(三)强化传染病监测预警,落实早发现、早报告。",
    "1.提升妇幼健康服务能力,孕产妇死亡率控制在9/10万以下。",
    "加快托育服务发展,每千人口托位数达到4.5个。",
    "一、加强党的建设,落实全面从严治党主体责任。",
    "牵头单位:妇幼科;责任单位:各县区卫生健康局",
]
TRADITIONAL = [OpenCC("s2tw").convert(sentence) for sentence in SENTENCES]

plans = st.lists(st.sampled_from(SENTENCES), min_size=1, max_size=12).map("\n".join)
traditional_plans = st.lists(st.sampled_from(TRADITIONAL), min_size=1, max_size=12).map("\n".join)
chinese = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFFEF, exclude_categories=("C",)), max_size=60)


@given(chinese)
def test_utf8_with_a_chinese_character_comes_back_whatever_surrounds_it(text: str) -> None:
    text = f"卫{text}"
    assert decode(text.encode()) == text


@pytest.mark.parametrize(
    ("mark", "codec"),
    [
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (b"\x84\x31\x95\x33", "gb18030"),
    ],
)
@given(text=chinese)
def test_a_byte_order_mark_decides(mark: bytes, codec: str, text: str) -> None:
    assert decode(mark + text.encode(codec)) == text


@pytest.mark.parametrize("codec", ["utf-8", "gb18030", "gbk", "utf-16-le", "utf-16-be"])
@given(text=plans)
def test_simplified_plans_come_back_without_a_mark(codec: str, text: str) -> None:
    assert decode(text.encode(codec)) == text


@pytest.mark.parametrize("codec", ["utf-8", "gb18030", "cp950", "big5hkscs", "utf-16-le", "utf-16-be"])
@given(text=traditional_plans)
def test_traditional_plans_come_back_without_a_mark(codec: str, text: str) -> None:
    assert decode(text.encode(codec)) == text


@pytest.mark.parametrize("codec", ["gb18030", "utf-16-le", "cp950"])
def test_chinese_that_begins_late_still_decides(codec: str) -> None:
    text = "/* style */ p { color: red }\n" * 4_000 + TRADITIONAL[0]
    assert decode(text.encode(codec)) == text


def test_two_gb18030_characters_that_happen_to_be_valid_utf8_are_chinese() -> None:
    raw = "人才".encode("gb18030")
    assert decode(raw) == "人才"
    assert decode("一".encode("gb18030") + b" 2026") == "一 2026"


def test_plain_ascii_and_nothing_decode_as_they_are() -> None:
    assert decode(b"plan 2026\r\n") == "plan 2026\r\n"
    assert decode(b"") == ""


def test_a_declared_charset_is_honoured_where_it_decodes() -> None:
    assert decode("衛".encode("cp950"), "Big5") == "衛"
    assert decode("卫生".encode("gb18030"), "gb2312") == "卫生"
    assert decode("𠀀".encode("gb18030"), " GBK ") == "𠀀"


def test_a_declared_charset_that_is_wrong_is_passed_over() -> None:
    assert decode("卫生健康工作".encode(), "gb2312") == "卫生健康工作"
    assert decode("卫生健康工作".encode("gb18030"), "utf-8") == "卫生健康工作"
    assert decode("卫生健康工作".encode("gb18030"), "iso-8859-1") == "卫生健康工作"
    assert decode("卫生健康工作".encode("gb18030"), "no-such-charset") == "卫生健康工作"


@pytest.mark.parametrize("codec", ["utf-8", "gb18030"])
def test_a_few_bad_bytes_become_replacement_characters(codec: str) -> None:
    raw = ("\n".join(SENTENCES * 5)).encode(codec)
    text = decode(raw[:30] + b"\xff\xff" + raw[30:])
    assert 1 <= text.count("\ufffd") <= 4
    assert SENTENCES[5] in text


def test_a_file_cut_in_the_middle_of_a_character_is_read() -> None:
    text = decode(SENTENCES[0].encode()[:-1])
    assert text == SENTENCES[0][:-1] + "\ufffd"


@pytest.mark.parametrize("raw", [bytes(range(256)) * 20, b"\0\1\2\3" * 100, b"\x89PNG\r\n\x1a\n" + bytes(500)])
def test_binary_content_is_refused(raw: bytes) -> None:
    with pytest.raises(NotText, match="not text"):
        decode(raw)


def test_western_text_falls_to_charset_normalizer() -> None:
    text = "Überprüfung der Maßnahmen für Ärzte und Pflegekräfte in Düsseldorf, größtenteils gefördert. " * 5
    assert "Ma" in decode(text.encode("cp1252"))


@settings(deadline=None)  # the first text in no known encoding imports charset-normalizer
@given(st.binary(max_size=300))
def test_any_bytes_decode_or_are_refused(raw: bytes) -> None:
    with contextlib.suppress(NotText):
        assert isinstance(decode(raw), str)
