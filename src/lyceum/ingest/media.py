"""What a file is, by its bytes: magic numbers and content first; the name decides among text formats alone."""

from __future__ import annotations

import re

from lyceum.core.errors import ParseError
from lyceum.ingest.preflight import directory

PARSERS = {
    "pdf": "lyceum.ingest.pdf:parse",
    "docx": "lyceum.ingest.docx:parse",
    "xlsx": "lyceum.ingest.xlsx:parse",
    "pptx": "lyceum.ingest.pptx:parse",
    "odt": "lyceum.ingest.odf:parse",
    "ods": "lyceum.ingest.odf:parse",
    "odp": "lyceum.ingest.odf:parse",
    "rtf": "lyceum.ingest.rtf:parse",
    "csv": "lyceum.ingest.delimited:parse",
    "html": "lyceum.ingest.html:parse",
    "md": "lyceum.ingest.markdown:parse",
    "txt": "lyceum.ingest.plain:parse",
    "code": "lyceum.ingest.plain:parse",
    **dict.fromkeys(("png", "jpeg", "tiff", "gif", "bmp", "webp"), "lyceum.ingest.picture:parse"),
    "epub": "lyceum.ingest.epub:parse",
    "eml": "lyceum.ingest.mail:parse",
    "msg": "lyceum.ingest.mail:parse",
    "zip": "lyceum.ingest.archive:parse",
    "tar": "lyceum.ingest.archive:parse",
    "gz": "lyceum.ingest.archive:parse",
}
OFFICE = {"word/": "docx", "xl/": "xlsx", "ppt/": "pptx"}
OPEN = {b"text": "odt", b"spreadsheet": "ods", b"presentation": "odp"}
CODE = frozenset(
    "py js ts tsx jsx java c h cc cpp hpp cs go rs rb php sh bash sql r scala kt swift lua pl yaml yml toml ini "
    "json xml css".split()
)
BINARY_NAMES = frozenset("pdf docx docm xlsx xlsm pptx pptm odt ods odp rtf epub msg zip tar gz tgz".split())

# Magic bytes of what needs no further look; words of pictures are recognised.
MAGIC = (
    (re.compile(rb"\{\\rtf"), "rtf"),
    (re.compile(rb"\x1f\x8b"), "gz"),
    (re.compile(rb".{257}ustar", re.S), "tar"),
    (re.compile(rb"\x89PNG\r\n"), "png"),
    (re.compile(rb"\xff\xd8\xff"), "jpeg"),
    (re.compile(rb"II[*+]\x00|MM\x00[*+]"), "tiff"),
    (re.compile(rb"GIF8[79]a"), "gif"),
    (re.compile(rb"BM.{4}\x00{4}", re.S), "bmp"),
    (re.compile(rb"RIFF.{4}WEBP", re.S), "webp"),
)

# Magic bytes of what cannot be read, with what it is and what to do.
STRANGERS: tuple[tuple[bytes, str, str], ...] = (
    (b"Rar!", "a RAR archive", "Unpack it and add the files."),
    (b"7z\xbc\xaf", "a 7z archive", "Unpack it and add the files."),
    (b"\x7fELF", "a program", "Add its documentation instead."),
    (b"MZ", "a program", "Add its documentation instead."),
    (b"SQLite format 3", "a database", "Export its tables as CSV."),
)
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_opendocument = re.compile(
    rb"PK\x03\x04.{26}mimetype.{0,40}?application/vnd\.oasis\.opendocument\.(text|spreadsheet|presentation)",
    re.S,
)
_page = re.compile(rb"<(?:!doctype\s+html|html)\b", re.I)
# Fields that open a mail; a text that only happens to start like one must be called .eml.
_field = re.compile(
    rb"^(From|To|Subject|Date|Message-ID|MIME-Version|Received|Return-Path|Delivered-To):", re.I | re.M
)
_transport = re.compile(rb"^(Message-ID|MIME-Version|Received):", re.I | re.M)
_markup = re.compile(rb"<(?:!doctype\s+html|html|head|body|div|p|table|h[1-6]|article|section|span)\b", re.I)


def suffix(name: str) -> str:
    """Return the ending of a name in lower case, without its dot."""
    return name.rsplit(".", 1)[-1].lower() if "." in name else ""


def detect(data: bytes, name: str) -> str:
    """Return the key of PARSERS for these bytes; raise ParseError when nothing here can read them."""
    if not data.strip(b" \t\r\n\x00\xef\xbb\xbf"):
        raise ParseError(f"{name} is empty.", hint="Add a file with content.", code="empty")
    if b"%PDF-" in data[:1024]:
        return "pdf"
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zip(data, name)
    if known := next((media for magic, media in MAGIC if magic.match(data)), ""):
        return known
    if data.startswith(OLE):
        return _ole(data, name)
    for magic, what, hint in STRANGERS:
        if data.startswith(magic):
            raise ParseError(f"{name} is {what}.", hint=hint, code="unsupported")
    ending = suffix(name)
    if ending in BINARY_NAMES:
        raise ParseError(
            f"{name} is called {ending.upper()}, but its bytes are not.",
            hint="Open it in its program and save it again, or give it its real name.", code="mismatch",
        )  # fmt: skip
    if _is_binary(data[:4096]):
        raise ParseError(
            f"{name} has a format that is not known.", hint="Convert it to PDF or text.", code="unsupported"
        )
    return _text(data, ending)


def _text(data: bytes, ending: str) -> str:
    if _is_mail(data, ending):
        return "eml"
    if ending in ("md", "markdown"):
        return "md"
    if ending in ("csv", "tsv"):
        return "csv"
    head = data[:4096]
    if ending in CODE and not (ending == "xml" and _page.search(head)):
        return "code"
    opened = ending in ("html", "htm", "xhtml", "") or data[:200].lstrip()[:1] == b"<"
    return "html" if opened and _markup.search(head) else "txt"


def _is_mail(data: bytes, ending: str) -> bool:
    head = re.split(rb"\r?\n\r?\n", data.lstrip()[:16_384], maxsplit=1)[0]
    fields = {field.lower() for field in _field.findall(head)}
    first = re.match(rb"(?:From |[A-Za-z][A-Za-z0-9-]*:)", head)
    if ending in ("eml", "mail"):
        return bool(first and fields)
    return bool(first and len(fields) >= 3 and _transport.search(head) and ending not in CODE | {"md", "txt"})


def _zip(data: bytes, name: str) -> str:
    members = directory(data, name).namelist()
    office = "[Content_Types].xml" in members
    for folder, media in OFFICE.items():
        if any(member.startswith(folder) for member in members) and (office or suffix(name) == media):
            return media
    if kind := _opendocument.match(data):  # its type is the first member, stored as it is
        return OPEN[kind.group(1)]
    if "META-INF/container.xml" in members:
        return "epub"
    if office or {"content.xml", "META-INF/manifest.xml"} <= set(members):
        raise ParseError(
            f"{name} is an office file of a kind that is not known.",
            hint="Save it as PDF.",
            code="unsupported",
        )
    return "zip"


def _ole(data: bytes, name: str) -> str:
    if "__properties_version1.0".encode("utf-16-le") in data:
        return "msg"
    if "EncryptedPackage".encode("utf-16-le") in data:
        raise ParseError(
            f"{name} is protected by a password.", hint="Save a copy without the password.", code="password"
        )
    kinds = {"WordDocument": "DOC", "Workbook": "XLS", "PowerPoint Document": "PPT"}
    if found := next((kind for stream, kind in kinds.items() if stream.encode("utf-16-le") in data), ""):
        raise ParseError(f"{name} is an old {found} file.", hint=f"Save it as {found}X.", code="unsupported")
    raise ParseError(f"{name} is an OLE container.", hint="Save it in a current format.", code="unsupported")


def _is_binary(head: bytes) -> bool:
    """Say whether bytes can be no text: UTF-16 aside, text holds no zero bytes and few control characters."""
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return False
    controls = sum(byte < 9 or 13 < byte < 27 for byte in head)
    return b"\x00" in head or controls > len(head) * 0.05
