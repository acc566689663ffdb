"""A page's bytes to a PNG with boxes marked in it; runs in the parsing process, for the file's author is a stranger.

Boxes come in the coordinates of places: points (pictures: pixels) from the top-left corner, rotation applied.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Mapping
from contextlib import closing
from typing import Any

from lyceum.core.errors import ParseError
from lyceum.ingest.picture import shown

PICTURES = frozenset("png jpeg tiff gif bmp webp".split())
DRAWN = PICTURES | {"pdf"}
PIXELS = 12_000_000  # of what is given back: a larger page is drawn smaller
OPENED = 120_000_000  # of a picture that is read
MARK = (255, 228, 92)


def draw(data: bytes, media: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return {"png": base64} of page `wanted["page"]` at `dpi` with `boxes` marked; its bytes must have `sha256`.

    Without dots per inch nothing is drawn, and {"size"} says how large the page is, in the units of places.
    """
    if hashlib.sha256(data).hexdigest() != wanted["sha256"]:
        raise ParseError("The file has changed since it was read.", hint="Ingest it again.", code="changed")
    page = _pdf if media == "pdf" else _picture
    image, scale = page(data, wanted["page"], wanted["dpi"])
    if not wanted["dpi"]:
        return {"size": image}
    for box in wanted["boxes"]:
        _mark(image, [edge * scale for edge in box])
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=4)
    return {"png": base64.b64encode(out.getvalue()).decode()}


def _pdf(data: bytes, number: int, dpi: int) -> tuple[Any, float]:
    """Return a page drawn, and its scale; without `dpi` its size."""
    import pypdfium2 as pdfium

    try:
        pdf = pdfium.PdfDocument(data)
    except pdfium.PdfiumError as problem:
        raise ParseError(
            "The PDF cannot be opened; a password is not kept.",
            hint="Save a copy without a password and ingest that.", code="password",
        ) from problem  # fmt: skip
    with closing(pdf):
        if not 1 <= number <= len(pdf):
            raise _absent(number)
        page = pdf[number - 1]
        if not dpi:
            return (page.get_width(), page.get_height()), 1
        scale = _scale(page.get_width(), page.get_height(), dpi / 72)
        return page.render(scale=scale).to_pil().convert("RGB"), scale


def _picture(data: bytes, number: int, dpi: int) -> tuple[Any, float]:
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None  # what is too large is refused below, before a pixel is decoded
    image: Any = Image.open(io.BytesIO(data))
    if not 1 <= number <= getattr(image, "n_frames", 1):
        raise _absent(number)
    image.seek(number - 1)
    if image.width * image.height > OPENED:
        raise ParseError("The picture is too large to be shown.", hint="Scale it down.", code="limit")
    image = shown(image)
    if not dpi:
        return image.size, 1
    scale = _scale(image.width, image.height, min(1.0, dpi / 150))
    if scale == 1:
        return image, scale
    return image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale)))), scale


def _absent(number: int) -> ParseError:
    return ParseError(f"There is no page {number}.", hint="The report says how many there are.", code="page")


def _scale(width: float, height: float, wanted: float) -> float:
    """Return the scale that is wanted, or the largest one that keeps to the cap of pixels."""
    most: float = (PIXELS / max(width * height, 1e-6)) ** 0.5
    return min(wanted, most)


def _mark(image: Any, box: list[float]) -> None:
    """Colour a box as a felt pen does: what is dark stays dark."""
    from PIL import Image, ImageChops

    left, top, right, bottom = (round(edge) for edge in box)
    area = (max(left - 1, 0), max(top - 1, 0), min(right + 1, image.width), min(bottom + 1, image.height))
    if area[0] < area[2] and area[1] < area[3]:
        size = (area[2] - area[0], area[3] - area[1])
        image.paste(ImageChops.multiply(image.crop(area), Image.new("RGB", size, MARK)), area[:2])
