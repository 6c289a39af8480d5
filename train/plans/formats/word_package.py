"""The package of a .docx: a zip with XML inside, opened with limits, since it comes from strangers.

python-docx is not used to read: it refuses packages that WPS writes (targets named NULL), loads every picture, and
hands over neither text boxes, content controls nor numbers.
"""

from __future__ import annotations

import io
import posixpath
import zipfile
import zlib
from typing import TYPE_CHECKING

from train.plans.formats.refusals import Damaged, Locked, Oversized

if TYPE_CHECKING:
    from lxml.etree import _Element

_MAX_ENTRIES = 10_000  # a report with a thousand pictures has some 1,100
_MAX_TOTAL = 256 << 20  # bytes, unpacked
_MAX_XML = 32 << 20  # bytes of one part; its tree takes twenty times as much, and a plan of 500 pages has 8 MB
_MAX_RATIO = 200  # XML of a long report packs about 30 : 1, zip bombs 1,000 : 1 …
_RATIO_FROM = 8 << 20  # … which does no harm in a small part
TO_UNLOCK = "asks for a password: open it in Word or WPS, remove the password, save it again"
_OFFICE_DOCUMENT = "/officeDocument"  # end of the relationship type, transitional and strict alike


class Package:
    """The parts of a .docx, by name.

    Raises:
        Damaged: for a damaged zip.
        Oversized: for a zip that unpacks to more than an office PC should hold.
        Locked: for a zip with a password.
    """

    def __init__(self, raw: bytes) -> None:
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(raw))
        except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
            raise Damaged("damaged: its zip directory cannot be read; copy or download the file again") from error
        entries = self._zip.infolist()
        if len(entries) > _MAX_ENTRIES:
            raise Oversized(f"{len(entries):,} parts inside, more than the {_MAX_ENTRIES:,} read")
        total = sum(entry.file_size for entry in entries)
        if total > _MAX_TOTAL:
            raise Oversized(
                f"unpacks to {total >> 20:,} MiB, more than the {_MAX_TOTAL >> 20} MiB read; remove the pictures"
            )
        for entry in entries:
            if entry.flag_bits & 0x1:
                raise Locked(TO_UNLOCK)
            if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise Damaged(f"refused: {entry.filename} is packed in a way that Word does not know")
            if entry.file_size > _RATIO_FROM and entry.file_size > _MAX_RATIO * max(1, entry.compress_size):
                raise Damaged(f"a zip bomb: {entry.filename} unpacks more than {_MAX_RATIO} : 1")
        self._names = {entry.filename.replace("\\", "/").lstrip("/").lower(): entry for entry in entries}

    def bytes(self, name: str) -> bytes | None:
        """The content of a part, or None if there is none.

        Raises:
            Damaged: for a part that cannot be unpacked.
        """
        entry = self._names.get(name.lstrip("/").lower())
        if entry is None:
            return None
        try:
            return self._zip.read(entry)
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            NotImplementedError,
            RuntimeError,
            ValueError,
            OSError,
        ) as error:
            raise Damaged(f"damaged: {entry.filename} cannot be unpacked; copy or download the file again") from error

    def xml(self, name: str) -> _Element | None:
        """The root of an XML part, or None if there is none.

        Raises:
            Damaged: for XML that is damaged or declares a document type, which no Word file does.
            Oversized: for more XML than memory should hold as a tree.
        """
        raw = self.bytes(name)
        if raw is not None and len(raw) > _MAX_XML:
            raise Oversized(f"{name} is larger than the {_MAX_XML >> 20} MiB read: split the file")
        return None if raw is None else parse_xml(raw, name)

    def document_name(self) -> str:
        """The name of the main part.

        Raises:
            Damaged: for a package without one.
        """
        for kind, target in self.relations("").values():
            if kind.endswith(_OFFICE_DOCUMENT) and self.bytes(target) is not None:
                return target
        if self.bytes("word/document.xml") is not None:
            return "word/document.xml"
        raise Damaged("not a Word document: there is no word/document.xml inside")

    def relations(self, name: str) -> dict[str, tuple[str, str]]:
        """Relationship id → (type, name of the part it points at), for one part (`""`: the package)."""
        folder, file = posixpath.split(name)
        root = self.xml(posixpath.join(folder, "_rels", f"{file}.rels"))
        found: dict[str, tuple[str, str]] = {}
        for node in root if root is not None else ():
            if node.get("TargetMode") != "External":
                target = posixpath.normpath(posixpath.join("/", folder, node.get("Target") or ""))
                found[node.get("Id") or ""] = (node.get("Type") or "", target.lstrip("/"))
        return found


def parse_xml(raw: bytes, name: str) -> _Element:
    """The root of one part.

    Raises:
        Damaged: for XML that is damaged or declares a document type.
    """
    from lxml import etree

    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(raw, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise Damaged(f"damaged: {name} is not valid XML ({error})") from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise Damaged(f"refused: {name} declares a document type, which no Word file does")
    return root
