"""The example documents as other readers than Lyceum's extract them: what quotes are checked against."""

from __future__ import annotations

import csv
import email
import email.policy
import io
import re
import zipfile
from collections.abc import Iterator
from email.message import EmailMessage
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import cast

import docx
import lxml.html
import openpyxl
import pptx
import pypdfium2
from charset_normalizer import from_bytes

Where = tuple[int | None, str | None, int | None]  # page or slide, sheet, row
SOURCES = Path(__file__).parents[1] / "examples" / "corpus" / "sources"
WHOLE: Where = (None, None, None)
_space = re.compile(r"[\s\u3000|\\]+")


def squashed(text: str) -> str:
    """Return text without white space and table rules."""
    return _space.sub("", text)


@lru_cache(maxsize=64)
def pages(path: Path) -> tuple[tuple[Where, str], ...]:
    """Return (page, sheet, row) and text of a file's parts; a picture's text is what it was made from."""
    if path.suffix == ".png" or "scan" in path.name:
        source = (SOURCES / f"{path.name}.txt").read_text(encoding="utf-8")
        text = re.sub(r"^#+ ", "", source, flags=re.M)  # headings are printed without their marks
        return tuple(((number, None, None), squashed(text)) for number in range(1, 3))
    return tuple((where, squashed(text)) for where, text in _read(path.suffix, path.read_bytes()))


@lru_cache(maxsize=64)
def inside(path: Path, part: str) -> str:
    """Return the text of a file inside a mail or archive."""
    if path.suffix == ".zip":
        data = zipfile.ZipFile(path).read(part)
    else:
        files = {one.get_filename(): one for one in _mail(path.read_bytes()).iter_attachments()}
        data = cast(bytes, files[part].get_payload(decode=True))
    return squashed("".join(text for _, text in _read(Path(part).suffix, data)))


def _read(ending: str, data: bytes) -> Iterator[tuple[Where, str]]:
    reader = {
        ".pdf": _pdf, ".pptx": _pptx, ".xlsx": _xlsx, ".docx": _docx, ".html": _html, ".csv": _csv, ".eml": _eml,
    }.get(ending, _text)  # fmt: skip
    yield from reader(data)


def _pdf(data: bytes) -> Iterator[tuple[Where, str]]:
    for number, page in enumerate(pypdfium2.PdfDocument(data), start=1):
        # A hyphen at a line's end that joins two halves of a word is no part of it.
        yield (number, None, None), page.get_textpage().get_text_bounded().replace("\ufffe", "")


def _pptx(data: bytes) -> Iterator[tuple[Where, str]]:
    for number, slide in enumerate(pptx.Presentation(BytesIO(data)).slides, start=1):
        parts = [slide._element, *([slide.notes_slide._element] if slide.has_notes_slide else [])]
        nodes = [node for part in parts for node in part.iter() if node.tag.endswith("}t")]
        yield (number, None, None), "".join(node.text or "" for node in nodes)


def _xlsx(data: bytes) -> Iterator[tuple[Where, str]]:
    for sheet in openpyxl.load_workbook(BytesIO(data), data_only=True):
        for number, row in enumerate(sheet.iter_rows(values_only=True), start=1):
            yield (None, sheet.title, number), "".join(str(cell) for cell in row if cell is not None)


def _docx(data: bytes) -> Iterator[tuple[Where, str]]:
    body = docx.Document(BytesIO(data)).element.body
    yield WHOLE, "".join(node.text or "" for node in body.iter() if node.tag.endswith("}t"))


def _html(data: bytes) -> Iterator[tuple[Where, str]]:
    yield WHOLE, lxml.html.fromstring(data.decode()).text_content()


def _csv(data: bytes) -> Iterator[tuple[Where, str]]:
    for number, row in enumerate(csv.reader(io.StringIO(data.decode())), start=1):
        yield (None, None, number), "".join(row)


def _mail(data: bytes) -> EmailMessage:
    return cast(EmailMessage, email.message_from_bytes(data, policy=email.policy.default))


def _eml(data: bytes) -> Iterator[tuple[Where, str]]:
    mail = _mail(data)
    body = mail.get_body(("plain",))
    heads = [f"{name}: {mail[name]}" for name in ("Subject", "From", "To", "Date")]
    yield WHOLE, " ".join([*heads, body.get_content() if body else ""])


def _text(data: bytes) -> Iterator[tuple[Where, str]]:
    yield WHOLE, str(from_bytes(data, cp_isolation=["utf_8", "gb18030"]).best())
