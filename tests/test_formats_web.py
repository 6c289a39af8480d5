import pytest
from documents import saved_page
from hypothesis import given
from hypothesis import strategies as st

from train.plans.formats.mhtml import read_mhtml
from train.plans.formats.refusals import Damaged
from train.plans.formats.web import declared_charset, html_lines, read_web
from train.plans.lines import Line


def texts(html: str) -> list[str]:
    return [line.text for line in html_lines(html)]


PAGE = """<!DOCTYPE html><html><head><meta charset="gb2312"><title>要点_青川湖市</title><style>p{}</style></head><body>
<nav><a href="/">首页</a><a href="/gk">公开</a></nav>
<div class="nav">当前位置:<a>首页</a> &gt; <a>文件</a></div>
<table><tr><td>索引号:</td><td>QCH-1</td><td>发布日期:</td><td>2026-01-05</td></tr></table>
<h1>青川湖市2026年卫生健康<br>工作要点</h1>
<div>字号:<a>大</a> <a>中</a></div>
<div id="zoom"><div><p>&nbsp;&nbsp;&nbsp;&nbsp;<span>一、深化医</span><span>改</span></p>
<p style="text-indent:2em">1.推进<b>医共体</b>建设,
   完善分级诊疗。<br/>2.加强公共
卫生。</p><p>&#12288;&#12288;Public
health<span style="display:none">隐藏</span></p></div>
<script>var a = "<p>脚本</p>";</script><noscript>请开启脚本</noscript><p hidden>不见</p></div>
<div style="visibility: hidden">看不见</div><ruby>衛<rp>(</rp><rt>wèi</rt><rp>)</rp></ruby>生<!-- 注释 -->
</body></html>"""


def test_a_government_page_gives_all_its_visible_lines() -> None:
    assert html_lines(PAGE) == [
        Line("当前位置:首页 > 文件"),
        Line("索引号: QCH-1 发布日期: 2026-01-05"),
        Line("青川湖市2026年卫生健康", 1),
        Line("工作要点", 1),
        Line("字号:大 中"),
        Line("一、深化医改"),
        Line("1.推进医共体建设,完善分级诊疗。"),
        Line("2.加强公共卫生。"),
        Line("Public health"),
        Line("衛生"),
    ]


@pytest.mark.parametrize("codec", ["gb18030", "utf-8", "utf-8-sig", "utf-16"])
def test_the_bytes_of_a_page_are_decoded_by_what_they_are(codec: str) -> None:
    assert read_web(PAGE.encode(codec)) == html_lines(PAGE)


def test_the_charset_of_a_page_is_found_in_its_head() -> None:
    assert declared_charset(b'<meta http-equiv="Content-Type" content="text/html; charset=Big5">') == "Big5"
    assert declared_charset(b'<?xml version="1.0" encoding="gb2312"?><html>') == "gb2312"
    assert declared_charset(b"<html>") is None


def test_an_xhtml_declaration_does_not_stop_the_reader() -> None:
    assert texts('<?xml version="1.0" encoding="gb2312"?><html><body><p>一、医改</p></body></html>') == ["一、医改"]


def test_ordered_lists_get_the_numbers_a_browser_prints() -> None:
    html = """<ol><li>医改</li><li value="5"><p>托育</p><p>续段</p></li><li>2026年
    <ol type="a" start="3"><li>子项</li></ol></li></ol><ol type="I" reversed><li>甲</li><li>乙</li></ol>
    <ol style="list-style-type: cjk-ideographic"><li>党建</li></ol><ol style="list-style:none"><li>无号</li></ol>
    <ul><li>圆点</li></ul><ol style="list-style-type:circled-decimal"><li>圈</li></ol><ol type="i"><li>罗</li></ol>
    <ol style="list-style: inside url(a.png) decimal-leading-zero"><li>零</li></ol>"""
    assert texts(html) == [
        "1.医改",
        "5.托育",
        "续段",
        "6. 2026年",
        "c.子项",
        "II.甲",
        "I.乙",
        "一、党建",
        "无号",
        "圆点",
        "①圈",
        "i.罗",
        "01.零",
    ]


def test_a_list_whose_items_print_their_own_numbers_gets_no_second_ones() -> None:
    assert texts("<ol><li><span>一、</span>医改</li><li>二、托育</li></ol>") == ["一、医改", "二、托育"]


def test_a_plan_in_a_table_becomes_numbered_lines() -> None:
    html = """<table><caption>任务表</caption><thead><tr><th>序号</th><th colspan="2">重点任务</th><th>责任单位</th></tr></thead>
    <tbody><tr><td>1</td><td rowspan="2">深化医改</td><td><p>医共体</p><p>建设。</p></td><td>医改科</td></tr>
    <tr><td>2</td><td>医联体</td><td>医政科</td></tr></tbody></table>"""
    assert texts(html) == ["任务表", "深化医改", "1.医共体。建设。(责任单位:医改科)", "2.医联体(责任单位:医政科)"]


def test_a_layout_table_is_read_in_order_and_keeps_headings() -> None:
    html = """<table><tr><td><h2>要点</h2></td><td><table><tr><td>甲</td><td>乙</td></tr></table></td></tr></table>
    <table><form><tr><td>丙</td><td>丁</td></tr></form>旁注</table>"""
    assert html_lines(html)[0] == Line("要点", 2)
    assert texts(html)[1:2] == ["甲 乙"]
    assert sorted(texts(html)[2:]) == ["丁", "丙", "旁注"]


def test_a_hidden_part_that_holds_most_of_the_page_is_read() -> None:
    text = "一、推进县域医共体建设,完善分级诊疗制度。"
    assert texts(f"<p>页眉</p><div style='display:none'><p>{text}</p></div>") == ["页眉", text]
    assert texts(f"<nav><h2>{text}</h2></nav>") == [text]


def test_preformatted_text_keeps_its_lines() -> None:
    assert texts("<pre>一、医改\n  (一)医共体</pre><textarea>甲\n乙</textarea>") == [
        "一、医改",
        "(一)医共体",
        "甲",
        "乙",
    ]


def test_unclosed_tags_by_the_thousand_lose_no_text() -> None:
    assert texts("<p><font><span>" * 5_000 + "尾")[-1] == "尾"
    assert texts("<div>" * 1_500 + "尾") == ["尾"]


def test_text_longer_than_ten_million_bytes_is_not_cut() -> None:
    assert texts("<p>" + "健" * 4_000_000 + "尾</p>")[0][-1] == "尾"


def test_a_page_nested_beyond_reason_is_refused() -> None:
    with pytest.raises(Damaged, match="nested more than 2,048 deep: save the page again, or paste the plan"):
        html_lines("<div>" * 5_000 + "尾")


@pytest.mark.parametrize("html", ["", "   ", "<!-- nothing -->", "<html></html>", "<script>1</script>"])
def test_a_page_without_text_has_no_lines(html: str) -> None:
    assert html_lines(html) == []


def test_entities_of_a_document_type_are_not_expanded() -> None:
    html = '<!DOCTYPE html [<!ENTITY a SYSTEM "file:///etc/passwd">]><p>前&a;后</p>'
    assert "root:" not in "".join(texts(html))


def test_wide_spans_are_limited() -> None:
    assert texts('<table><tr><td colspan="9999" rowspan="9999">甲</td><td>乙</td></tr></table>') == ["甲 乙"]


@given(
    st.lists(
        st.sampled_from(
            ["<p>", "</p>", "<b>", "<td>", "<table>", "<tr>", "</table>", "<li>", "<ol>", "<br>", "<h2>", "<div>"]
        )
    )
)
def test_no_text_is_lost_in_tag_soup(tags: list[str]) -> None:
    said = "".join(texts("".join(f"{tag}词{i}#" for i, tag in enumerate(tags))))
    assert all(f"词{i}#" in said for i in range(len(tags)))


# ── MHTML ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("charset", ["gb2312", "utf-8", "big5"])
@pytest.mark.parametrize("encoding", ["quoted-printable", "base64"])
def test_a_saved_page_is_read(charset: str, encoding: str) -> None:
    html = "<html><body><h2>工作</h2><p>一、加油中心</p></body></html>"
    assert read_mhtml(saved_page(html, charset, encoding)) == [Line("工作", 2), Line("一、加油中心")]


def test_a_saved_page_without_a_page_is_refused() -> None:
    with pytest.raises(Damaged, match=r"no page in this \.mhtml: save it again from the browser"):
        read_mhtml(
            b"MIME-Version: 1.0\nContent-Type: multipart/related; boundary=x\n\n--x\nContent-Type: text/css\n\np{}\n--x--\n"
        )


def test_a_saved_page_with_too_many_parts_is_refused() -> None:
    parts = b"--x\nContent-Type: image/png\n\nA\n" * 5_002
    with pytest.raises(Damaged, match="more than 5,000 parts"):
        read_mhtml(b"MIME-Version: 1.0\nContent-Type: multipart/related; boundary=x\n\n" + parts + b"--x--\n")
