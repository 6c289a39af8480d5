"""Documents made for real: Word packages, PDFs, saved pages. All places and plans in them are invented."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_R = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_NAMESPACES = (
    f'xmlns:w="{W}" xmlns:r="{_R}" xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006" '
    'xmlns:wps="http://schemas.microsoft.com/office/word/2010/wordprocessingShape" xmlns:v="urn:schemas-microsoft-com:vml" '
    'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"'
)
_CONTENT_TYPES = (
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="xml" ContentType="application/xml"/>'
    '<Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument'
    '.wordprocessingml.document.main+xml"/></Types>'
)


# ── Word ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def package(parts: dict[str, str | bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of parts, the same bytes at any time."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, content in parts.items():
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return out.getvalue()


def relations(*links: tuple[str, str, str]) -> str:
    """A .rels part of (id, type, target); the type without its common front."""
    inner = "".join(f'<Relationship Id="{i}" Type="{_R}/{kind}" Target="{target}"/>' for i, kind, target in links)
    return (
        f'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{inner}</Relationships>'
    )


def word_parts(body: str, numbering: str = "", styles: str = "") -> dict[str, str | bytes]:
    """The parts of a small Word file."""
    return {
        "[Content_Types].xml": _CONTENT_TYPES,
        "_rels/.rels": relations(("rId1", "officeDocument", "word/document.xml")),
        "word/document.xml": f"<w:document {_NAMESPACES}><w:body>{body}<w:sectPr/></w:body></w:document>",
        "word/numbering.xml": f"<w:numbering {_NAMESPACES}>{numbering}</w:numbering>",
        "word/styles.xml": f"<w:styles {_NAMESPACES}>{styles}</w:styles>",
        "word/_rels/document.xml.rels": relations(
            ("rId1", "numbering", "numbering.xml"), ("rId2", "styles", "styles.xml"), ("rId3", "image", "NULL")
        ),
    }


def word_file(body: str, numbering: str = "", styles: str = "") -> bytes:
    """A Word file with this body, these lists and styles (XML)."""
    return package(word_parts(body, numbering, styles))


def run(text: str, properties: str = "") -> str:
    """A run."""
    return f'<w:r><w:rPr>{properties}</w:rPr><w:t xml:space="preserve">{text}</w:t></w:r>'


def paragraph(
    text: str = "", num: int | None = None, level: int | None = None, style: str = "", extra: str = ""
) -> str:
    """A paragraph; text may be XML of runs."""
    numbers = "" if level is None else f'<w:ilvl w:val="{level}"/>'
    numbers += "" if num is None else f'<w:numId w:val="{num}"/>'
    styled = f'<w:pStyle w:val="{style}"/>' if style else ""
    listed = f"<w:numPr>{numbers}</w:numPr>" if numbers else ""
    inner = text if text.startswith("<") else run(text) if text else ""
    return f"<w:p><w:pPr>{styled}{listed}{extra}</w:pPr>{inner}</w:p>"


def level(at: int, form: str, text: str, start: int = 1, extra: str = "") -> str:
    """A level of an abstract list."""
    return f'<w:lvl w:ilvl="{at}"><w:start w:val="{start}"/><w:numFmt w:val="{form}"/>{extra}<w:lvlText w:val="{text}"/></w:lvl>'


def abstract(key: int, *levels: str) -> str:
    """An abstract list."""
    return f'<w:abstractNum w:abstractNumId="{key}">{"".join(levels)}</w:abstractNum>'


def num(key: int, of: int, overrides: str = "") -> str:
    """A list that refers to an abstract one."""
    return f'<w:num w:numId="{key}"><w:abstractNumId w:val="{of}"/>{overrides}</w:num>'


def style(key: str, name: str, based_on: str = "", properties: str = "", extra: str = "") -> str:
    """A paragraph style."""
    base = f'<w:basedOn w:val="{based_on}"/>' if based_on else ""
    return (
        f'<w:style w:type="paragraph" w:styleId="{key}" {extra}><w:name w:val="{name}"/>{base}'
        f"<w:pPr>{properties}</w:pPr></w:style>"
    )


def word_table(rows: Sequence[Sequence[str]]) -> str:
    """A table; a cell is text or, where it begins with `<`, the XML inside `w:tc`."""
    cells = [
        "".join(f"<w:tc>{cell if cell.startswith('<') else paragraph(cell)}</w:tc>" for cell in row) for row in rows
    ]
    return f"<w:tbl>{''.join(f'<w:tr>{row}</w:tr>' for row in cells)}</w:tbl>"


# ── PDF ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

FONT = "STSong-Light"  # named, not embedded: no font file is needed


def pdf_file(
    pages: Sequence[Sequence[tuple[float, float, str]]], size: float = 16, password: str | None = None
) -> bytes:
    """A PDF of lines placed by hand: (left, distance from the top, text) in points on A4."""
    from reportlab.lib.pagesizes import A4
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.pdfgen.canvas import Canvas

    pdfmetrics.registerFont(UnicodeCIDFont(FONT))
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=A4, encrypt=password)
    for page in pages:
        canvas.setFont(FONT, size)
        for x, y, text in page:
            canvas.drawString(x, A4[1] - y, text)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def flowing_pdf(story: Sequence[str | list[list[str]]], spans: Sequence[tuple[Any, ...]] = (), head: str = "") -> bytes:
    """A PDF laid out by reportlab: paragraphs with a first line set in, ruled tables, page numbers, a running head."""
    from reportlab.lib.pagesizes import A4
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.platypus import Paragraph, SimpleDocTemplate, Table, TableStyle

    pdfmetrics.registerFont(UnicodeCIDFont(FONT))
    body = ParagraphStyle("body", fontName=FONT, fontSize=16, leading=28, firstLineIndent=32, wordWrap="CJK")
    cell = ParagraphStyle("cell", fontName=FONT, fontSize=10.5, leading=14, wordWrap="CJK")
    grid = [("GRID", (0, 0), (-1, -1), 0.5, "black"), *spans]
    flow: list[Any] = []
    for each in story:
        if isinstance(each, str):
            flow.append(Paragraph(each, body))
        else:
            widths = [40, *[(440 - 40) / (len(each[0]) - 1)] * (len(each[0]) - 1)]
            rows = [[Paragraph(text, cell) if text else "" for text in row] for row in each]
            flow.append(Table(rows, colWidths=widths, style=TableStyle(grid), repeatRows=1))

    def decorate(canvas: Any, document: Any) -> None:
        canvas.setFont(FONT, 14)
        canvas.drawString(72, 40, f"— {document.page} —")
        if head:
            canvas.drawString(72, A4[1] - 50, head)

    out = io.BytesIO()
    SimpleDocTemplate(out, pagesize=A4, leftMargin=72, rightMargin=72, topMargin=90, bottomMargin=80).build(
        flow, onFirstPage=decorate, onLaterPages=decorate
    )
    return out.getvalue()


def scanned_pdf() -> bytes:
    """A page that is one picture."""
    from reportlab.lib.utils import ImageReader
    from reportlab.pdfgen.canvas import Canvas

    out = io.BytesIO()
    canvas = Canvas(out)
    canvas.drawImage(ImageReader(io.BytesIO(picture())), 0, 0, 500, 700)
    canvas.showPage()
    canvas.save()
    return out.getvalue()


def picture() -> bytes:
    """A small PNG."""
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (8, 8), "white").save(out, "PNG")
    return out.getvalue()


# ── Web ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def saved_page(html: str, charset: str = "gb2312", encoding: str = "quoted-printable") -> bytes:
    """A page as a browser saves it, with a style sheet beside it."""
    from email import encoders
    from email.mime.base import MIMEBase
    from email.mime.multipart import MIMEMultipart
    from email.mime.text import MIMEText

    message = MIMEMultipart("related", "----MultipartBoundary--a", type="text/html")
    message["From"] = "<Saved by Blink>"
    message["Subject"] = "=?utf-8?Q?=E8=A6=81=E7=82=B9?="
    part = MIMEBase("text", "html", charset=charset)
    part.set_payload(html.encode(charset))
    (encoders.encode_quopri if encoding == "quoted-printable" else encoders.encode_base64)(part)
    message.attach(part)
    message.attach(MIMEText("p { color: red }", "css"))
    return message.as_bytes()


def write(folder: Path, name: str, content: bytes | str) -> Path:
    """A file in a folder, which is made if it is not there."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path
