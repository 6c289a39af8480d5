"""PDFs that explode: each ends in one line, within seconds, in bounded memory."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from documents import write
from guarded import Reading, read_guarded
from mutations import pdf, pdf_objects, stream

SECONDS, MIB = 30, 800


def read(tmp_path: Path, raw: bytes) -> Reading:
    reading = read_guarded(write(tmp_path, "a.pdf", raw))
    assert reading.seconds < SECONDS
    assert reading.mib < MIB
    assert not reading.deeds
    assert not reading.printed
    return reading


def drawn(content: bytes, entries: bytes = b"", *others: bytes) -> bytes:
    """A page with this content stream; other objects are numbered from 13."""
    objects = list(pdf_objects())
    objects[4] = stream(content, entries)
    return pdf([*objects, *others])


def flate(content: bytes, times: int = 1) -> bytes:
    for _ in range(times):
        content = zlib.compress(content, 1)
    return content


def with_object(at: int, content: bytes) -> bytes:
    objects = list(pdf_objects())
    objects[at - 1] = content
    return pdf(objects)


def forms(depth: int, calls: int) -> bytes:
    """A page whose form calls a form `calls` times, which calls the next one, `depth` deep."""
    chain = [
        stream(
            b"/X Do " * calls,
            b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</X %d 0 R>>>>" % (14 + at),
        )
        for at in range(depth)
    ]
    last = stream(b"0 0 m 9 9 l S", b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]")
    objects = list(pdf_objects())
    objects[2] = objects[2].replace(b"10 0 R", b"13 0 R")
    return pdf([*objects, *chain, last])


def many_pages(n: int) -> bytes:
    kids = b" ".join(b"%d 0 R" % (13 + at) for at in range(n))
    pages = [b"<</Type/Page/Parent 2 0 R>>"] * n
    objects = list(pdf_objects())
    objects[1] = b"<</Type/Pages/Kids[%b]/Count %d/MediaBox[0 0 9 9]>>" % (kids, n)
    return pdf([*objects, *pages])


def deep_page_tree(depth: int) -> bytes:
    nodes = [b"<</Type/Pages/Kids[%d 0 R]/Count 1>>" % (14 + at) for at in range(depth)]
    objects = list(pdf_objects())
    objects[1] = b"<</Type/Pages/Kids[13 0 R]/Count 1>>"
    return pdf([*objects, *nodes, objects[2]])


MIBS = 1 << 20
BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "a stream that unpacks to 260 MiB": (lambda: drawn(flate(bytes(260 * MIBS)), b"/Filter/FlateDecode"), "unpacks to more than 256 MiB"),
    "a stream packed twice": (
        lambda: drawn(flate(bytes(260 * MIBS), 2), b"/Filter[/FlateDecode/FlateDecode]"), "unpacks to more than 256 MiB",
    ),
    "a mapping that is a bomb": (
        lambda: with_object(9, stream(flate(bytes(260 * MIBS)), b"/Filter/FlateDecode")), "unpacks to more than 256 MiB",
    ),
    "run lengths": (lambda: drawn(b"\x81 " * (2 * MIBS), b"/Filter/RunLengthDecode"), "unpacks to more than 256 MiB"),
    "instructions without end": (
        lambda: drawn(flate(b"q Q " * (3 * MIBS)), b"/Filter/FlateDecode"), "page 1 holds more drawing than a plan does",
    ),
    "a million characters on a page": (
        lambda: drawn(flate(b"BT /F2 9 Tf (" + b"A" * MIBS + b") Tj ET"), b"/Filter/FlateDecode"), "page 1 holds more drawing than a plan does",
    ),
    "a million lines on a page": (
        lambda: drawn(flate(b"0 0 m 9 9 l S " * (MIBS // 2)), b"/Filter/FlateDecode"), "page 1 holds more drawing than a plan does",
    ),
    "forms that call forms": (lambda: forms(9, 10), "page 1 holds more drawing than a plan does"),
    "widths of four billion characters": (
        lambda: with_object(7, pdf_objects()[6].replace(b"1[500 500]", b"0 4294967295 500")), "count through more than 3,000,000 numbers",
    ),
    "a mapping of four billion characters": (
        lambda: with_object(9, stream(b"begincmap 1 beginbfrange <00000000> <ffffffff> <0000> endbfrange endcmap")),
        "count through more than 3,000,000 numbers",
    ),
    "a hundred thousand pages": (lambda: many_pages(100_000), "more than 2,000 pages: split it"),
    "a page tree a hundred thousand deep": (lambda: deep_page_tree(100_000), r"damaged: not a readable PDF \(RecursionError"),
    "a table that goes before itself": (
        lambda: re.sub(rb"(?<=/Root 1 0 R)", b"/Prev %d" % pdf(pdf_objects()).index(b"xref\n0"), pdf(pdf_objects())),
        r"damaged: not a readable PDF \(RecursionError",
    ),
    "a predictor of a line without end": (
        lambda: drawn(flate(b"x"), b"/Filter/FlateDecode/DecodeParms<</Predictor 15/Columns 99999999999>>"), "unpacks to more than 256 MiB",
    ),
    "encryption of no known kind": (
        lambda: pdf(pdf_objects(), b"/Root 1 0 R/Encrypt<</Filter/Nobody/V 9/R 9/O()/U()/P 0>>/ID[(a)(b)]"),
        "encrypted in a way that is not known: print it to a new PDF",
    ),
    "encryption without keys": (
        lambda: pdf(pdf_objects(), b"/Root 1 0 R/Encrypt<</Filter/Standard/V 4/R 4>>/ID[(a)(b)]"), r"damaged: not a readable PDF \(KeyError",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_a_pdf_that_explodes_is_refused_within_seconds_and_bounded_memory(tmp_path: Path, name: str) -> None:
    make, message = BOMBS[name]
    assert re.search(message, read(tmp_path, make()).said)


HARMLESS = {
    "a catalogue that refers to itself": with_object(1, b"1 0 R"),
    "properties that refer to themselves": pdf([*pdf_objects(), b"13 0 R"], b"/Root 1 0 R/Info 13 0 R"),
    "an array nested a hundred thousand deep": with_object(4, b"[" * 100_000 + b"]" * 100_000),
    "pages that are their own children": with_object(2, b"<</Type/Pages/Kids[3 0 R 2 0 R 3 0 R]/Count 99999999/MediaBox[0 0 595 842]>>"),
    "a form that calls itself": with_object(10, pdf_objects()[9].replace(b"ET", b"ET /X1 Do").replace(b"/Font<<", b"/XObject<</X1 10 0 R>>/Font<<")),
    "pictures in JBIG2": with_object(10, stream(b"\x97JB2", b"/Type/XObject/Subtype/Image/Width 99999999/Height 99999999/Filter/JBIG2Decode")),
    "a fax as wide as memory": with_object(10, stream(b"x", b"/Type/XObject/Subtype/Image/Width 9/Height 9/Filter/CCITTFaxDecode/DecodeParms<</Columns 9999999999>>")),
    "no size of the paper": with_object(2, b"<</Type/Pages/Kids[3 0 R]/Count 1>>"),
    "odd boxes": with_object(3, pdf_objects()[2].replace(b"/Parent", b"/CropBox[/a]/TrimBox 7/Rotate 45/Parent")),
    "a script and a file to launch": with_object(1, b"<</Type/Catalog/Pages 2 0 R/OpenAction<</S/Launch/F(calc.exe)>>/AA<</WC<</S/JavaScript/JS(app.launchURL)>>>>>>"),
    "a character map named by a path": with_object(6, pdf_objects()[5].replace(b"/UniGB-UCS2-H", b"/..#2f..#2f..#2fetc#2fpasswd")),
}  # fmt: skip


@pytest.mark.parametrize("name", HARMLESS)
def test_a_pdf_with_a_trap_that_need_not_be_touched_is_read(tmp_path: Path, name: str) -> None:
    reading = read(tmp_path, HARMLESS[name])
    assert reading.said == ""
    assert reading.lines > 0


@pytest.mark.slow(reason="reads a million objects")
def test_a_million_objects_are_read_in_bounded_time(tmp_path: Path) -> None:
    raw = pdf([*pdf_objects(), *[b"<</A 1>>"] * 1_000_000])
    reading = read_guarded(write(tmp_path, "a.pdf", raw))
    assert reading.said == ""
    assert reading.seconds < 2 * SECONDS
    assert reading.mib < MIB


def test_what_is_left_of_a_damaged_stream_is_read(tmp_path: Path) -> None:
    packed = bytearray(flate(b"BT /F2 9 Tf 72 700 Td (AB) Tj ET " + bytes(range(256)) * 40))
    packed[-8:] = bytes(8)
    reading = read(tmp_path, drawn(bytes(packed), b"/Filter/FlateDecode"))
    assert reading.lines > 0
