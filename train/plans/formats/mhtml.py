"""MHTML, the page a browser or Word saves in one file: the HTML parts of a MIME message."""

from __future__ import annotations

from train.plans.formats.encoding import decode
from train.plans.formats.refusals import Damaged
from train.plans.formats.web import html_lines, read_web
from train.plans.lines import Line

_MAX_PARTS = 5_000  # a saved page has some hundred pictures; more is no page


def read_mhtml(raw: bytes) -> list[Line]:
    """The lines of a saved page.

    Frames and pages inside the page follow the main part.

    Raises:
        Damaged: without an HTML part, or with one that cannot be read.
    """
    from email import message_from_bytes

    lines: list[Line] = []
    pages = 0
    for count, part in enumerate(message_from_bytes(raw.lstrip()).walk()):
        if count > _MAX_PARTS:
            raise Damaged(f"more than {_MAX_PARTS:,} parts")
        if part.get_content_type() not in ("text/html", "application/xhtml+xml"):
            continue
        payload = part.get_payload(decode=True)
        if isinstance(payload, bytes) and payload.strip():
            pages += 1
            charset = part.get_content_charset()
            lines += html_lines(decode(payload, charset)) if charset else read_web(payload)
    if not pages:
        raise Damaged("no page in this .mhtml: save it again from the browser")
    return lines
