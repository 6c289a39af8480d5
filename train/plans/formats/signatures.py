"""What a file is by its first bytes, whatever its name says; and what to do about the kinds that are not read."""

from __future__ import annotations

import re
import zipfile
from io import BytesIO

_HEAD = 4096
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED_STREAM = "EncryptedPackage".encode("utf-16-le")
_PICTURE_HEADS = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*", b"\0\0\x01\0")
_RTF = b"{\\rtf"
_MIME = re.compile(rb"\s*(?:[\w-]+:[^\n]*\n(?:[ \t][^\n]*\n)*)*?(?:MIME-Version|Content-Type):", re.I)
_MIME_TYPE = re.compile(rb"^Content-Type:\s*(?:multipart/|text/html)", re.I | re.M)
_HTML = re.compile(
    r"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body|meta|title)\b", re.I | re.S
)
_WORD_2003 = re.compile(r"\s*<\?xml[^>]*>\s*(?:<\?mso-application[^>]*>|<w:wordDocument\b)", re.I)
_TAG = re.compile(r"<(?:[a-zA-Z][\w:-]*[\s>/]|/[a-zA-Z]|!--|!doctype)", re.I)

TO_DOCX = "open it in Word or WPS and save as .docx (or run: soffice --headless --convert-to docx FILE)"
_OCR = "run OCR on it first, or ask for the Word file or the web page"
_UNPACK = "an archive: unpack it and give the folder"
_SHEET = "a spreadsheet: save the sheet as a web page (.html), or paste the plan into a .txt file"

PICTURE, ARCHIVE = f"a picture: {_OCR}", _UNPACK
_OFD = "OFD: open it in an OFD reader (数科, 福昕, WPS) and save as .pdf or .docx"
_CEB = "CEB: open it in 方正 Apabi Reader and print it to .pdf, or ask for the Word file"

# What to do about extensions that no reader takes. Others get the list of those that are read.
ADVICE: dict[str, str] = {
    **dict.fromkeys((".doc", ".dot", ".wps", ".wpt", ".rtf", ".odt", ".ott", ".uof", ".uot", ".pages"), TO_DOCX),
    **dict.fromkeys((".et", ".ett", ".xls", ".xlsx", ".xlsm", ".ods", ".csv", ".tsv", ".numbers"), _SHEET),
    **dict.fromkeys(
        (".png", ".jpg", ".jpeg", ".jpe", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".heic", ".heif", ".ico"), PICTURE
    ),
    **dict.fromkeys((".zip", ".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz"), ARCHIVE),
    **dict.fromkeys((".ppt", ".pptx", ".pps", ".dps"), "a presentation: export it to .pdf, or paste the plan into a .txt file"),
    **dict.fromkeys((".ceb", ".cebx", ".sep", ".gd", ".gw"), _CEB),
    **dict.fromkeys((".caj", ".kdh", ".nh"), "CAJ: open it in CAJViewer and print it to .pdf"),
    ".ofd": _OFD,
}  # fmt: skip


def kind_by_bytes(raw: bytes) -> str | None:
    """What the first bytes say.

    Returns:
        `pdf`, `docx`, `mhtml`; `encrypted`, for a Word file with a password; the advice of a kind that is not read; None where the bytes may be text.
    """
    if b"%PDF-" in raw[:1024]:
        return "pdf"
    if raw.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zip_kind(raw)
    if raw.startswith(_OLE):
        return "encrypted" if _ENCRYPTED_STREAM in raw else f"an old binary Office file: {TO_DOCX}"
    if raw.startswith(_RTF):
        return f"RTF: {TO_DOCX}"
    if raw.startswith(_PICTURE_HEADS) or (raw.startswith(b"RIFF") and raw[8:12] == b"WEBP"):
        return PICTURE
    if raw.startswith((b"Rar!\x1a", b"7z\xbc\xaf\x27\x1c", b"\x1f\x8b")):
        return ARCHIVE
    head = raw[:_HEAD].lstrip()
    return "mhtml" if _MIME.match(head) and _MIME_TYPE.search(head) else None


def _zip_kind(raw: bytes) -> str:
    try:
        with zipfile.ZipFile(BytesIO(raw)) as archive:
            names = {name.replace("\\", "/").lower() for name in archive.namelist()}
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError):
        return "docx"  # damaged: its reader says so
    if "ofd.xml" in names:
        return _OFD
    if any(name.startswith("xl/") for name in names):
        return _SHEET
    if "content.xml" in names and "mimetype" in names:
        return f"an OpenDocument file: {TO_DOCX}"
    return "docx" if any(name.startswith("word/") or name == "[content_types].xml" for name in names) else ARCHIVE


def kind_of_text(text: str, kind: str) -> str:
    """What a decoded text is: `html` for a page under another name, `text` for a page without tags.

    Args:
        text: the text.
        kind: `text`, `markdown` or `html`, as the name says.
    """
    head = text[:_HEAD]
    if _WORD_2003.match(head):
        return f"Word 2003 XML: {TO_DOCX}"
    if _HTML.match(head):
        return "html"
    return "text" if kind == "html" and not _TAG.search(text) else kind
