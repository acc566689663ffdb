"""EML and MSG to the mail's subject, head and body, then its attachments as parts; pictures in the text are ignored.

Lines are counted in the mail as it is shown: the subject is line 1, the head follows, then the body.
"""

from __future__ import annotations

import email
import io
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from functools import partial
from typing import Any

from lyceum.core.errors import ParseError
from lyceum.core.text import clean, squeeze
from lyceum.core.types import Document, Element, Page, Piece, Place
from lyceum.ingest.decode import decode
from lyceum.ingest.lines import line
from lyceum.ingest.members import Load, read_members, taken
from lyceum.ingest.reading import read

FIELDS = ("From", "To", "Cc", "Date")
MARK = b"\xef\xbb\xbf"  # says UTF-8 more loudly than what a page says of itself
# Properties by the numbers of MS-OXPROPS that python-oxmsg gives no name of its own.
DISPLAY_CC, DISPLAY_TO, RTF_BODY = 0x0E03, 0x0E04, 0x1009
DISPLAY_NAME, SHORT_NAME, CONTENT_ID = 0x3001, 0x3704, 0x3712


@dataclass(slots=True)
class _Mail:
    """What both formats have in common; a body is ("txt" or "html", its characters)."""

    subject: str
    head: list[tuple[str, str]]
    bodies: list[tuple[str, str]] = field(default_factory=list)
    attached: list[tuple[str, Load]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def parse(data: bytes, document: Document) -> Iterator[Page]:
    """Yield a page for the mail itself and those of its attachments."""
    mail = _msg(data) if document.media == "msg" else _eml(data)
    if mail.attached:
        mail.head.append(("Attachments", ", ".join(name for name, _ in mail.attached)))
    lines = [f"{name}: {said}" for name, text in mail.head if (said := squeeze(clean(text)))]
    subject = squeeze(clean(mail.subject))
    elements = [*line(document.id, subject, Place(line=1), level=1), *_head(lines, document.id)]
    warnings = mail.warnings
    for kind, body in mail.bodies:
        before = "\n" * (len(lines) + 2) if kind == "txt" else ""
        data = MARK + (before + body).encode("utf-8", "replace")
        try:
            for page in read(data, replace(document, media=kind)):
                elements += (replace(one, level=one.level + bool(one.level)) for one in page.elements)
                warnings += page.warnings
        except ParseError as problem:
            warnings.append(f"Its body was left out ({problem.code}): {problem}")
    yield Page(elements=tuple(elements), title=subject, warnings=tuple(warnings))
    with suppress(ParseError):  # every one of them is among the warnings; the mail itself was read
        yield from read_members(mail.attached, document, level=2)


def _head(lines: list[str], doc_id: str) -> Iterator[Element]:
    pieces, start = [], 0
    for number, text in enumerate(lines, start=2):
        pieces.append(Piece(start=start, end=start + len(text), place=Place(line=number)))
        start += len(text) + 1
    if lines:
        place = pieces[0].place
        yield Element(doc_id=doc_id, kind="text", text="\n".join(lines), place=place, pieces=tuple(pieces))


def _eml(data: bytes) -> _Mail:
    message = email.message_from_bytes(data)
    head = [(name, ", ".join(map(_words, message.get_all(name, [])))) for name in FIELDS]
    mail = _Mail(_words(message.get("Subject", "")), head)
    _walk(message, mail)
    return mail


def _walk(part: Message, mail: _Mail, *, related: bool = False) -> None:
    """Sort the parts of a message: of alternatives the plainest, texts as body, the rest as attachments."""
    kind = part.get_content_type()
    inner: Any = part.get_payload() if part.is_multipart() else []
    name = _words(part.get_filename() or "")
    if kind == "message/rfc822" and inner:
        name = name or (_words(inner[0].get("Subject", "")) or "message") + ".eml"
        mail.attached.append((name, _load(inner[0].as_bytes())))
    elif kind == "multipart/alternative":
        for one in sorted(inner, key=lambda one: one.get_content_type() != "text/plain")[:1]:
            _walk(one, mail)
    elif part.is_multipart():
        for one in inner:
            _walk(one, mail, related=kind == "multipart/related")
    elif kind in ("text/plain", "text/html") and not name and part.get_content_disposition() != "attachment":
        text = _decoded(_bytes(part), str(part.get_content_charset() or ""))
        mail.bodies.append(("html" if kind == "text/html" else "txt", text))
    elif not (related and kind.startswith("image/")):  # a logo, a signature
        mail.attached.append((name or kind.replace("/", "."), _load(_bytes(part))))


def _load(data: bytes) -> Load:
    return partial(taken, io.BytesIO(data))


def _bytes(part: Message) -> bytes:
    payload: Any = part.get_payload(decode=True)
    return payload or b""


def _decoded(data: bytes, charset: str) -> str:
    """Return text in the charset it claims, in a likelier one where the claim is wrong or unknown."""
    charset = "gb18030" if charset.lower() in ("gb2312", "gbk", "x-gbk") else charset
    try:
        return data.decode(charset or "utf-8")
    except (LookupError, UnicodeDecodeError, ValueError):
        return decode(data)


def _words(value: Any) -> str:
    """Return a header's words (RFC 2047), also those that somebody wrote as bare bytes."""
    try:
        found = decode_header(value)
    except (HeaderParseError, ValueError):
        return str(value)
    return "".join(
        text if isinstance(text, str) else _decoded(text, charset or "") for text, charset in found
    )


def _msg(data: bytes) -> _Mail:
    from oxmsg import Message as Outlook
    from oxmsg.domain import constants

    message = Outlook.load(io.BytesIO(data))
    words, raw = message.properties.str_prop_value, message.properties.binary_prop_value
    to = ", ".join(f"{one.name or ''} <{one.email_address or ''}>" for one in message.recipients)
    sent = message.sent_date.strftime("%Y-%m-%d %H:%M %Z") if message.sent_date else ""
    values = (message.sender or "", words(DISPLAY_TO) or to, words(DISPLAY_CC) or "", sent)
    mail = _Mail(message.subject, list(zip(FIELDS, values, strict=True)))
    html = raw(constants.PID_HTML)
    if message.body:
        mail.bodies.append(("txt", message.body))
    elif html or message.html_body:
        page = _decoded(html, _codepage(message)) if html else message.html_body
        mail.bodies.append(("html", page or ""))
    elif raw(RTF_BODY):
        mail.warnings.append("Its body is kept as RTF only, which is not read. Save it as EML or PDF.")
    for one in message.attachments:
        said = one.properties.str_prop_value
        name = one.file_name or said(SHORT_NAME) or said(DISPLAY_NAME) or "attachment"
        if one.file_bytes is None:
            why = "it is a mail inside the mail, or elsewhere."
            mail.warnings.append(f"{name} was left out (unsupported): {why}")
        elif not ((one.mime_type or "").startswith("image/") and said(CONTENT_ID)):
            mail.attached.append((name, _load(one.file_bytes)))
    return mail


def _codepage(message: Any) -> str:
    try:
        return str(message.properties.body_encoding)
    except LookupError:  # a code page that has no name here
        return ""
