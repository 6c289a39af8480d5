"""Files as an attacker or a bad disk leaves them: small plans of every format, damaged in their structure and in their bytes.

`mutated(kind, draw)` gives a suffix and the bytes of one file; the same state of `draw` gives the same file.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Sequence
from functools import cache
from random import Random

from damage import ODD, damage, recoded, tangle
from documents import abstract, level, num, package, paragraph, run, saved_page, style, word_parts, word_table

KINDS = ("txt", "html", "docx", "pdf")
_MAX_BYTES = 60_000  # of one file: what costs time here are many inputs, not large ones
_PLAN = (
    "云泽县2025年卫生健康工作要点\n一、总体要求\n以人民健康为中心。\n二、深化医改\n（一）推进医共体建设，县域就诊率达到九成。（牵头单位：医改科；责任单位：各医院）\n"
    "1.完善分级诊疗。\n2深化药品集采（责任科室：药政科）\n一是抓好慢病管理。\n①衛(wèi)生健康??。\n附件：1.清单\n云泽县卫生健康局\n2025年3月1日\n"
)
_MARKUP = [
    b"<table>", b"</table>", b"<tr>", b"<td colspan=99999 rowspan=99999>", b"<ol start=-99999999 reversed>", b"<li value=2147483647>", b"<pre>",
    b"<textarea>", b"<div style='display:none'>", b"<script>", b"<style>", b"<svg>", b"<math>", b"<template>", b"<p", b"</body>", b"<br/>",
    b"<meta charset=utf-7>", b"<meta charset='hz'>", b"<meta charset=\xff>", b"<?xml version='1.0' encoding='utf-16'?>", b"<plaintext>",
    b"<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]>", b"<frameset>", b"<ol style='list-style:upper-roman'>", b"<select><option>",
]  # fmt: skip
_WORD = [
    b"<w:tbl>", b"</w:tbl>", b"<w:tr>", b"<w:tc>", b"<w:p>", b"</w:p>", b"<w:r>", b"<w:t/>", b"<w:sdt><w:sdtContent>", b"<w:ins>", b"<w:moveTo>",
    b"<w:drawing><w:txbxContent>", b"</w:txbxContent></w:drawing>", b"<mc:AlternateContent><mc:Choice>", b"<mc:Fallback>", b'<w:sym w:char="F0FF"/>',
    b'<w:sym w:char="zz"/>', b'<w:gridSpan w:val="999999"/>', b'<w:tcPr><w:vMerge/></w:tcPr>', b'<w:ilvl w:val="-3"/>', b'<w:numId w:val="x"/>',
    b'<w:altChunk r:id="rId3"/>', b"<w:ruby><w:rubyBase>", b'<w:startOverride w:val="-9"/>', b'<w:numFmt w:val="custom" w:format="000"/>',
    b'<w:numStyleLink w:val="a"/>', b'<w:basedOn w:val="a"/>', b"<!DOCTYPE x>", b"<w:pPr><w:rPr><w:del/></w:rPr></w:pPr>", b'<w:gridBefore w:val="-1"/>',
]  # fmt: skip
_PRINTED = [
    b"/Filter/JBIG2Decode", b"/Filter[/FlateDecode/FlateDecode]", b"/Filter/LZWDecode", b"/Filter/ASCII85Decode", b"/Filter/RunLengthDecode",
    b"/Filter/CCITTFaxDecode", b"/Filter/Crypt", b"/DecodeParms<</Predictor 15/Columns 0>>", b"/DecodeParms<</Predictor 2/Colors -1>>", b"null",
    b"/Encrypt 3 0 R", b"/Encrypt<</Filter/Standard/V 4/R 4/O()/U()/P 0>>", b"/Rotate 45", b"/MediaBox[0 0 0 0]", b"/MediaBox[1 2]", b"/W[0 0 0]",
    b"/Count -1", b"/Kids[3 0 R 3 0 R]", b"/Type/Pages", b"/UserUnit 0", b"/Encoding/..#2f..#2fx", b"/ToUnicode/Identity-H", b"/FontMatrix[0 0 0 0 0 0]",
    b"[", b"]", b"<<", b">>", b"(", b")", b"<", b"{", b"}", b"R", b"0 0 R", b"5 0 R", b"true", b"BI/W 1/H 1 ID", b"EI", b"Do", b"q", b"Q", b"Tj", b"Tf", b"cm",
    b"beginbfchar", b"endstream", b"endobj", b"startxref", b"trailer", b"BT", b"ET", b"/F1", b"/X1 Do", b"-1 0 0 -1 0 0 Tm", b"re", b"S", b"/ActualText",
]  # fmt: skip


def mutated(kind: str, draw: Random) -> tuple[str, bytes]:
    """The suffix and the bytes of a damaged file of one kind (`KINDS`)."""
    suffix, raw = {"txt": _text, "html": _page, "docx": _word, "pdf": _pdf}[kind](draw)
    return suffix, raw[:_MAX_BYTES]


# ── Text and pages ────────────────────────────────────────────────────────────────────────────────────────────────────

_PAGE = (
    "<!DOCTYPE html><html><head><meta charset=utf-8><title>要点</title></head><body><div class=nav><a href=#>首页</a></div><h1>云泽县2025年工作要点</h1>"
    "<p>一、深化医改</p><ol start=3><li>推进医共体建设。<li>完善分级诊疗。</ol><table border=1><caption>任务清单</caption><tr><th>序号<th>工作任务<th>责任单位</tr>"
    "<tr><td rowspan=2>1<td>推进集采&nbsp;<td colspan=2>药政科</tr><tr><td>2<td>巡诊</table><pre>（一）下乡\n（二）义诊</pre><div style='display:none'>x</div>"
    "<table><tr><td><table><tr><td>内<td>层</table><td>外</table><ul type=a><li>1.自己的编号</ul></body></html>"
)
_MARKDOWN = (
    "---\ntitle: 要点\n---\n# 云泽县2025年工作要点\n\n## 一、医改\n\n1. 推进**医共体**建设。\n   - 次级\n2. 完善\n\n| 序号 | 任务 | 单位 |\n|--|--|--|\n| 1 | 集采 | 药政科 |\n\n"
    "> 引文\n\n```\n（一）代码\n```\n<div>页</div>\n"
)


def _text(draw: Random) -> tuple[str, bytes]:
    suffix, seed = draw.choice(
        ((".txt", _PLAN), (".txt", _PLAN), (".txt", "\n".join([_PLAN[200:300]] * 8)), (".md", _MARKDOWN))
    )
    return suffix, damage(recoded(damage(seed.encode(), draw), draw), draw)


def _page(draw: Random) -> tuple[str, bytes]:
    if not draw.randrange(6):
        raw = saved_page(
            tangle(_PAGE.encode(), draw, _MARKUP).decode("utf-8", "ignore"),
            "utf-8",
            draw.choice(("quoted-printable", "base64")),
        )
        return ".mhtml", damage(raw, draw) if draw.randrange(2) else raw
    raw = recoded(tangle(_PAGE.encode(), draw, _MARKUP), draw)
    return draw.choice((".html", ".html", ".htm", ".doc")), damage(raw, draw, ODD + _MARKUP) if draw.randrange(
        2
    ) else raw


# ── Word ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@cache
def _word_seed() -> dict[str, bytes]:
    box = (
        "<w:r><mc:AlternateContent><mc:Choice><w:drawing><w:txbxContent>"
        + paragraph("框")
        + "</w:txbxContent></w:drawing></mc:Choice></mc:AlternateContent></w:r>"
    )
    merged = '<w:tcPr><w:gridSpan w:val="2"/><w:vMerge w:val="restart"/></w:tcPr>' + paragraph("合并")
    body = (
        paragraph("云泽县2025年工作要点", style="a") + paragraph("深化医改", num=1, level=0) + paragraph("推进医共体。", num=1, level=1)
        + paragraph(run("完善") + "<w:ins>" + run("分级诊疗") + "</w:ins><w:r><w:tab/><w:br/><w:sym w:char=\"2460\"/></w:r>" + box, num=2)
        + word_table([["序号", "任务", "责任单位"], ["1", "集采", "药政科"], [merged, "x"], ["2", word_table([["内", "层"]])]])
        + "<w:sdt><w:sdtContent>" + paragraph("内容控件") + "</w:sdtContent></w:sdt><w:altChunk r:id=\"rId9\"/>"
    )  # fmt: skip
    lists = (
        abstract(1, level(0, "chineseCounting", "%1、"), level(1, "decimal", "%1.%2"))
        + num(1, 1)
        + num(2, 1, '<w:lvlOverride w:ilvl="0"><w:startOverride w:val="3"/></w:lvlOverride>')
    )
    parts = word_parts(body, lists, style("a", "heading 1", "b", '<w:outlineLvl w:val="0"/>') + style("b", "Normal"))
    rels = str(parts["word/_rels/document.xml.rels"])
    parts["word/_rels/document.xml.rels"] = rels.replace(
        "</Relationships>", '<Relationship Id="rId9" Type="a/aFChunk" Target="chunk.html"/></Relationships>'
    )
    parts["word/chunk.html"] = _PAGE
    return {name: content.encode() if isinstance(content, str) else content for name, content in parts.items()}


def _word(draw: Random) -> tuple[str, bytes]:
    parts = dict(_word_seed())
    for _ in range(draw.choice((1, 1, 2))):
        name = draw.choice(["word/document.xml"] * 5 + sorted(parts))
        if name not in parts:
            continue
        match draw.randrange(12):
            case 0:
                del parts[name]
            case 1:
                parts[draw.choice(("/etc/passwd", "../../x.xml", "WORD\\document.xml", "word/\0.xml", "a" * 300))] = (
                    parts.pop(name)
                )
            case 2:
                parts[name] = damage(parts[name], draw, ODD + _WORD)
            case _:
                page = name.endswith("html")
                parts[name] = tangle(
                    parts[name], draw, _MARKUP if page else _WORD, whole=not page and draw.random() < 0.9
                )
    raw = package(parts, compression=draw.choice((0, 0, 8)))  # type: ignore[arg-type]  # dict is invariant
    return ".docx", damage(raw, draw) if not draw.randrange(8) else raw


# ── PDF ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def pdf(objects: Sequence[bytes], trailer: bytes = b"/Root 1 0 R") -> bytes:
    """A PDF of these objects, numbered from 1, with a table of where they stand."""
    out, places = bytearray(b"%PDF-1.7\n"), []
    for at, content in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (at, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n%btrailer\n<</Size %d%b>>\nstartxref\n%d\n%%%%EOF\n" % (
        len(objects) + 1, table, len(objects) + 1, trailer, start,
    )  # fmt: skip
    return bytes(out)


def stream(content: bytes, entries: bytes = b"") -> bytes:
    """A stream object."""
    return b"<</Length %d%b>>stream\n%b\nendstream" % (len(content), entries, content)


_TO_UNICODE = b"begincmap 1 begincodespacerange <00> <ff> endcodespacerange 2 beginbfchar <41> <4e00> <42> <533b> endbfchar 1 beginbfrange <50> <60> <6539> endbfrange endcmap"
_INK = (
    b"BT /F1 16 Tf 72 700 Td <4e003001653953d8> Tj 0 -28 Td <FF084E00FF0963A88FDB3002> Tj 300 0 Td (AB) Tj ET "
    b"q 1 0 0 1 0 0 cm 72 300 m 400 300 l S 72 200 m 400 200 l S 72 200 m 72 300 l S 200 200 m 200 300 l S 400 200 m 400 300 l S Q "
    b"BT /F2 10 Tf 80 250 Td (AB) Tj 140 0 Td [(A) -200 (B)] TJ ET /X1 Do BI /W 1 /H 1 /BPC 8 /CS /G ID x EI "
)


@cache
def pdf_objects() -> list[bytes]:
    """One page with a Chinese font that is named only, an embedded mapping, a ruled table, a form and a picture."""
    return [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1/MediaBox[0 0 595 842]>>",
        b"<</Type/Page/Parent 2 0 R/Contents[5 0 R]/Resources<</Font<</F1 6 0 R/F2 8 0 R>>/XObject<</X1 10 0 R>>>>/Annots[11 0 R]>>",
        b"<</Producer(x)/Title<feff4e00>>>",
        stream(_INK),
        b"<</Type/Font/Subtype/Type0/BaseFont/STSong-Light/Encoding/UniGB-UCS2-H/DescendantFonts[7 0 R]>>",
        b"<</Type/Font/Subtype/CIDFontType0/BaseFont/STSong-Light/CIDSystemInfo<</Registry(Adobe)/Ordering(GB1)/Supplement 2>>/W[1[500 500]]/FontDescriptor 12 0 R>>",
        b"<</Type/Font/Subtype/TrueType/BaseFont/X/FirstChar 65/LastChar 66/Widths[500 600]/Encoding<</Differences[65/A/B]>>/ToUnicode 9 0 R/FontDescriptor 12 0 R>>",
        stream(_TO_UNICODE),
        stream(b"BT /F2 9 Tf 80 100 Td (AB) Tj ET", b"/Type/XObject/Subtype/Form/BBox[0 0 99 99]/Matrix[1 0 0 1 0 0]/Resources<</Font<</F2 8 0 R>>>>"),
        b"<</Type/Annot/Subtype/Link/Rect[0 0 9 9]/A<</S/URI/URI(http://x)>>>>",
        b"<</Type/FontDescriptor/FontName/X/Flags 4/FontBBox[0 0 1000 1000]/Ascent 800/Descent -200>>",
    ]  # fmt: skip


def _pdf(draw: Random) -> tuple[str, bytes]:
    objects = list(pdf_objects())
    for _ in range(draw.choice((1, 1, 2, 3))):
        at = draw.randrange(len(objects))
        match draw.randrange(8):
            case 0:
                objects[at] = draw.choice(objects)
            case 1:
                objects[at] = re.sub(rb"\d+ 0 R", b"%d 0 R" % draw.randrange(14), objects[at], count=draw.randint(0, 1))
            case 2 | 3:
                objects[at] = _restreamed(objects[at], draw)
            case 4:
                words = re.split(rb"(?<=>>|\d\d| R)(?=/)", objects[at])
                words.insert(draw.randrange(len(words) + 1), draw.choice(_PRINTED))
                objects[at] = b"".join(words)
            case _:
                objects[at] = damage(objects[at], draw, _PRINTED)
    trailer = draw.choice((b"/Root 1 0 R", b"/Root 1 0 R/Info 4 0 R"))
    raw = pdf(objects, trailer + b"/Encrypt 12 0 R/ID[(a)(b)]" * (not draw.randrange(12)))
    return ".pdf", damage(raw, draw, _PRINTED) if not draw.randrange(4) else raw


_PACKERS: list[tuple[bytes, Callable[[bytes], bytes]]] = [
    (b"FlateDecode", lambda raw: zlib.compress(raw, 1)),
    (b"ASCIIHexDecode", lambda raw: raw.hex().encode() + b">"),
    (b"LZWDecode", lambda raw: raw),
    (b"RunLengthDecode", lambda raw: raw),
    (b"ASCII85Decode", lambda raw: raw),
]


def _restreamed(content: bytes, draw: Random) -> bytes:
    """A stream whose content is damaged before it is packed; another object as it is."""
    head, found, rest = content.partition(b">>stream\n")
    if not found:
        return content
    inner = damage(rest.removesuffix(b"\nendstream"), draw, _PRINTED)
    name, packer = draw.choice(_PACKERS)
    packed = packer(inner)
    if not draw.randrange(3):
        packed = damage(packed, draw)
    return (
        re.sub(rb"/Length \d+", b"/Length %d/Filter/%b" % (len(packed), name), head) + found + packed + b"\nendstream"
    )
