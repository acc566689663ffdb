"""PDF bytes to an open document, unlocked with given passwords and repaired where it is broken; knows no layout.

What pypdfium2 cannot open is written anew by pikepdf; what that cannot read either (no page tree, a file cut off)
gets a new page tree over the page objects that are left.
"""

from __future__ import annotations

import io
import re
import warnings
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pypdfium2 as pdfium

from lyceum.core.errors import ParseError

REPAIRED = "The file was damaged and has been repaired: text may be missing."
UNPACKED = 64 << 20  # bytes that are taken out of object streams
_object = re.compile(rb"(?<!\d)(\d{1,7})\s+(\d{1,5})\s+obj\b")
_page_type = re.compile(rb"/Type\s*/Page(?![A-Za-z])")
_parent = re.compile(rb"/Parent\s+(\d{1,7})\s+\d{1,5}\s+R\b")
_packed = re.compile(rb"/Type\s*/ObjStm\b")


def opened(data: bytes, passwords: Sequence[str] = ()) -> tuple[Any, tuple[str, ...]]:
    """Return the document and warnings."""
    for written in _versions(data, passwords):
        try:
            pdf = pdfium.PdfDocument(written)
        except pdfium.PdfiumError as problem:
            if written is data and "password" in str(problem).lower():
                return pdfium.PdfDocument(_unlocked(data, passwords)), ()
            continue
        if len(pdf):
            return pdf, () if written is data else (REPAIRED,)
        pdf.close()
    raise ParseError(
        "The PDF is damaged and cannot be opened.", hint="Print it to a new PDF, or get another copy."
    )


def _unlocked(data: bytes, passwords: Sequence[str]) -> bytes:
    """Return the file without its encryption."""
    for password in passwords:
        if written := _rewritten(data, password):
            return written
    given = "None of the given passwords opens it. " if passwords else ""
    raise ParseError(
        "The PDF is protected by a password.",
        hint=f"{given}Give it with `lyceum ingest --password WORD` (over HTTP the field `password`), or save a "
        "copy without the password.",
        code="password",
    )


def _versions(data: bytes, passwords: Sequence[str]) -> Iterator[bytes]:
    """Yield the file as it is, then repaired more and more; one without bytes cannot be opened."""
    yield data
    for password in ("", *passwords):
        yield _rewritten(data, password)
    yield _rewritten(_salvaged(data), "")


def _rewritten(data: bytes, password: str) -> bytes:
    """Return the file as pikepdf writes it, nothing when it cannot be read or the password is wrong."""
    import pikepdf

    out = io.BytesIO()
    word = password.encode("utf-8", "replace")
    try:
        with warnings.catch_warnings(action="ignore"), pikepdf.open(io.BytesIO(data), password=word) as pdf:
            pdf.save(out)
    except (pikepdf.PasswordError, pikepdf.PdfError, RuntimeError):
        return b""
    return out.getvalue()


def _salvaged(data: bytes) -> bytes:
    """Return the file's whole objects under a new page tree in the order of the file, nothing without a page."""
    whole = data[: data.rfind(b"endobj") + 6]
    objects, unpacked = _objects(whole)
    pages = [number for number, body in objects.items() if _page_type.search(body)]
    if not pages:
        return b""
    missing = Counter(
        int(found[1])
        for number in pages
        if (found := _parent.search(objects[number])) and int(found[1]) not in objects
    )
    tree = missing.most_common(1)[0][0] if missing else max(objects) + 1
    top = max(*objects, tree) + 1
    kids = b" ".join(b"%d 0 R" % number for number in pages)
    return b"".join(
        [
            whole, b"\n", *unpacked,
            b"%d 0 obj\n<</Type/Pages/Count %d/MediaBox[0 0 612 792]/Kids[%b]>>\nendobj\n" % (tree, len(pages), kids),
            b"%d 0 obj\n<</Type/Catalog/Pages %d 0 R>>\nendobj\n" % (top, tree),
            b"trailer\n<</Root %d 0 R/Size %d>>\nstartxref\n0\n%%%%EOF\n" % (top, top + 1),
        ]
    )  # fmt: skip


def _objects(data: bytes) -> tuple[dict[int, bytes], list[bytes]]:
    """Return the dictionaries by object number, later ones over earlier ones, and what streams of objects held."""
    objects: dict[int, bytes] = {}
    unpacked: list[bytes] = []
    left = UNPACKED
    marks = list(_object.finditer(data))
    for mark, following in zip(marks, [*marks[1:], None], strict=False):
        body = data[mark.end() : following.start() if following else len(data)]
        head = body.partition(b"stream")[0]
        objects[int(mark[1])] = head
        if _packed.search(head) and left > 0:
            for number, text in _inside(head, body, left):
                objects[number] = text
                left -= len(text)
                unpacked.append(b"%d 0 obj\n%b\nendobj\n" % (number, text))
    return objects, unpacked


def _inside(head: bytes, body: bytes, most: int) -> Iterator[tuple[int, bytes]]:
    """Yield the objects of an object stream (ISO 32000-1, 7.5.7)."""
    packed = body[len(head) + 6 :].lstrip(b"\r\n")
    first = re.search(rb"/First\s+(\d{1,7})", head)
    try:
        text = zlib.decompressobj().decompress(packed, most) if b"FlateDecode" in head else packed
        start = int(first[1]) if first else 0
        numbers = [int(word) for word in text[:start].split()]
    except (zlib.error, ValueError):
        return
    starts = [start + offset for offset in numbers[1::2]]
    for number, begin, end in zip(numbers[::2], starts, [*starts[1:], len(text)], strict=False):
        yield number, text[begin:end]
