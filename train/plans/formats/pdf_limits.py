"""PDF pages, laid out under limits that pdfminer does not have: a file of some kilobytes can ask it for hours and gigabytes.

All that a file makes pdfminer unpack, count through and draw is taken from one allowance per file. Where pdfminer offers no place to
count, names inside its modules are replaced, once; the replacements do the same work and count it.
"""

from __future__ import annotations

import io
import logging
import zlib
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from train.plans.formats.refusals import Damaged, Locked, Oversized, ReaderError

if TYPE_CHECKING:
    from pdfminer.pdfpage import PDFPage

_MAX_PAGES = 2_000
_MAX_UNPACKED = 256 << 20  # bytes of all streams; pictures are not unpacked
_MAX_COUNTED = 3_000_000  # numbers in ranges that fonts and tables ask for; a Chinese font has up to 65,536
_MAX_CONTENT = 64 << 20  # bytes of drawing instructions executed; 2,000 full pages have 50 MB
_FORM_COST = 1_000  # bytes that calling a form counts besides its own: forms that call forms ten times each are the PDF's zip bomb
_MAX_PAGE_CONTENT = 8 << 20  # of one page, some twenty seconds; a map has 2 MB
_MAX_DRAWN = 100_000  # characters, lines and pictures of one page, some 200 MB; a full page of a newspaper has 20,000
_MAX_HOPS = 32  # of a reference to a reference
_CHUNK = 1 << 20


@dataclass(slots=True)
class _Allowance:
    """What one file may still ask for."""

    unpacked: int
    counted: int
    content: int

    def unpack(self, size: int) -> None:
        self.unpacked -= size
        if self.unpacked < 0:
            raise Damaged(f"refused: it unpacks to more than {_MAX_UNPACKED >> 20} MiB")

    def count(self, numbers: int) -> None:
        self.counted -= numbers
        if self.counted < 0:
            raise Damaged(f"refused: its fonts and tables count through more than {_MAX_COUNTED:,} numbers")

    def draw(self, size: int) -> None:
        self.content -= size
        if self.content < 0:
            raise Oversized(
                f"more than {_MAX_CONTENT >> 20} MiB of drawing instructions: split it, or print it to a new PDF"
            )


_left: ContextVar[_Allowance] = ContextVar("left")


def laid_out(raw: bytes) -> Iterator[Any]:
    """The pages of a file, as pdfplumber has them, one after the other; each is let go before the next.

    Raises:
        Damaged: for a file that is broken or hostile.
        Locked: for a file with a password.
        Oversized: for too many pages, or too much on them.
    """
    import pdfplumber
    from pdfminer.pdfdocument import PDFEncryptionError, PDFPasswordIncorrect
    from pdfminer.pdfpage import PDFPage
    from pdfplumber.utils.exceptions import PdfminerException

    _count_in_pdfminer()
    _left.set(_Allowance(_MAX_UNPACKED, _MAX_COUNTED, _MAX_CONTENT))
    try:
        document = pdfplumber.open(io.BytesIO(raw))  # not in a `with` block, whose end lists all pages
        for number, each in enumerate(PDFPage.create_pages(document.doc), 1):
            if number > _MAX_PAGES:
                raise Oversized(f"more than {_MAX_PAGES:,} pages: split it")
            page = _page(document, each, number)
            yield page
            page.close()  # its objects, or memory grows with every page
    except (MemoryError, ReaderError):
        raise
    except Exception as error:  # pdfminer raises whatever Python does on a damaged file
        cause = error.args[0] if isinstance(error, PdfminerException) and error.args else error
        if isinstance(cause, (MemoryError, ReaderError)):
            raise cause from error
        if isinstance(cause, PDFPasswordIncorrect):
            raise Locked("asks for a password: open it, print it to a new PDF without one") from error
        if isinstance(cause, PDFEncryptionError):
            raise Locked("encrypted in a way that is not known: print it to a new PDF") from error
        raise Damaged(
            f"damaged: not a readable PDF ({type(cause).__name__}: {' '.join(str(cause).split())[:120]})"
        ) from error


def _page(document: Any, each: PDFPage, number: int) -> Any:
    from pdfplumber.page import Page

    each.attrs["MediaBox"], each.attrs["Rotate"] = list(each.mediabox), each.rotate  # as pdfminer mended them
    for name in ("CropBox", "TrimBox", "BleedBox", "ArtBox"):
        each.attrs.pop(name, None)  # nothing here depends on them, and pdfplumber stumbles over odd ones
    page = Page(document, each, number)
    page._layout = _layout(document, each, number)
    _ = page.objects
    return page


def _layout(document: Any, each: PDFPage, number: int) -> Any:
    """What is drawn on a page.

    Raises:
        Oversized: for more than a page holds.
    """
    from pdfminer.pdfinterp import PDFPageInterpreter
    from pdfminer.pdftypes import stream_value
    from pdfplumber.page import PDFPageAggregatorWithMarkedContent

    room = [_MAX_PAGE_CONTENT, _MAX_DRAWN]

    def take(at: int, size: int) -> None:
        room[at] -= size
        if room[at] < 0:
            raise Oversized(
                f"page {number} holds more drawing than a plan does: remove it, or print the file to a new PDF"
            )

    class Device(PDFPageAggregatorWithMarkedContent):
        def tag_cur_item(self) -> None:  # called for whatever is drawn
            take(1, 1)
            super().tag_cur_item()

    class Interpreter(PDFPageInterpreter):
        def execute(self, streams: Sequence[object]) -> None:
            size = _FORM_COST + sum(len(stream_value(stream).get_data()) for stream in streams)
            _left.get().draw(size)
            take(0, size)
            super().execute(streams)

    device = Device(document.rsrcmgr, pageno=number, laparams=None)
    Interpreter(document.rsrcmgr, device).process_page(each)
    return device.get_result()


@cache
def _count_in_pdfminer() -> None:
    """Puts counting replacements into pdfminer's modules, and keeps its complaints from the terminal."""
    from pdfminer import cmapdb, pdfdocument, pdffont, pdftypes

    for name in ("pdfminer", "pdfplumber"):
        logging.getLogger(name).addHandler(logging.NullHandler())
    for module in (cmapdb, pdfdocument, pdffont):
        vars(module)["range"] = _range  # shadows the built-in one
    names: Any = pdftypes
    names.zlib = SimpleNamespace(error=zlib.error, decompress=_inflated)
    names.decompress_corrupted = _inflated_as_far_as_it_goes
    names.lzwdecode, names.rldecode = _lzw, _run_lengths
    names.ccittfaxdecode = _no_fax
    for name in ("apply_png_predictor", "apply_tiff_predictor"):
        setattr(names, name, _predictor(getattr(names, name)))
    pdftypes.PDFObjRef.resolve = _resolver(pdftypes.PDFObjRef.resolve)  # type: ignore[method-assign]


def _range(*arguments: int) -> range:
    numbers = range(*arguments)
    _left.get().count(max(0, (numbers.stop - numbers.start) // numbers.step))  # `len` ends at 2⁶³
    return numbers


def _resolver(resolve: Any) -> Any:
    def resolved(reference: Any, default: object = None) -> Any:
        """What a reference stands for; pdfminer would follow one to itself for ever."""
        found: Any = reference
        for _ in range(_MAX_HOPS):
            found = resolve(found, default)
            if not isinstance(found, type(reference)):
                return found
        return default

    return resolved


def _inflated(data: bytes) -> bytes:
    """All of a Flate stream.

    Raises:
        zlib.error: for a stream that is damaged or cut short.
    """
    unpacker, pieces, left = zlib.decompressobj(), [], data
    while left and not unpacker.eof:
        pieces.append(unpacker.decompress(left, _CHUNK))
        _left.get().unpack(len(pieces[-1]))
        left = unpacker.unconsumed_tail
    if not unpacker.eof:
        raise zlib.error("cut short")
    return b"".join(pieces)


def _inflated_as_far_as_it_goes(data: bytes) -> bytes:
    unpacker, pieces = zlib.decompressobj(), []
    try:
        for at in range(len(data)):  # a larger piece with damage in it would give nothing
            pieces.append(unpacker.decompress(data[at : at + 1]))
            _left.get().unpack(len(pieces[-1]))
    except zlib.error:
        pass
    return b"".join(pieces)


def _lzw(data: bytes) -> bytes:
    from pdfminer.lzw import LZWDecoder

    pieces = []
    for piece in LZWDecoder(io.BytesIO(data)).run():
        _left.get().unpack(len(piece))
        pieces.append(piece)
    return b"".join(pieces)


def _run_lengths(data: bytes) -> bytes:
    from pdfminer.runlength import rldecode

    _left.get().unpack(128 * len(data))  # at most
    return rldecode(data)


def _no_fax(data: bytes, params: object) -> bytes:
    """Nothing: a fax is a picture, and its width, which the file names, is memory."""
    return b""


def _predictor(apply: Any) -> Any:
    def applied(*arguments: Any) -> Any:
        colors, width, bits, _ = arguments[-4:]
        _left.get().unpack(max(0, colors * width * bits // 8))
        return apply(*arguments)

    return applied
