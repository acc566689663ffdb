"""A picture file to elements: each picture of a TIFF is a page, of other formats the first alone; words by OCR.

A point of its boxes is a pixel of the picture as it is shown: dots to the inch are seldom written down rightly.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from lyceum.core.errors import ParseError
from lyceum.core.types import Document, Page, Place
from lyceum.ingest import ocr

MOST = 100_000_000  # pixels


def parse(data: bytes, document: Document) -> Iterator[Page]:
    """Yield a page a picture."""
    import numpy as np
    from PIL import Image, ImageSequence, UnidentifiedImageError

    Image.MAX_IMAGE_PIXELS = None  # what is too large is refused below, before a pixel is decoded
    try:
        file = Image.open(io.BytesIO(data))
    except UnidentifiedImageError as problem:
        raise ParseError(
            "The picture is damaged.",
            hint="Save it again in its program, or get another copy.",
            code="corrupt",
        ) from problem
    tool = ocr.engine(document.meta)
    for number, picture in enumerate(ImageSequence.Iterator(file), start=1):
        if picture.width * picture.height > MOST:
            raise ParseError(
                f"It has {picture.width} x {picture.height} pixels; {MOST // 1_000_000} million are allowed.",
                hint="Save a smaller copy of it.", code="limit",
            )  # fmt: skip
        pixels = np.asarray(shown(picture))[:, :, ::-1]
        yield replace(ocr.look(tool, pixels, 1.0, document, number), place=Place(page=number))
        if file.format != "TIFF":
            return


def shown(picture: Any) -> Any:
    """Return a picture as it is seen: turned as its camera says, on white where one can look through it."""
    from PIL import Image, ImageOps

    turned = ImageOps.exif_transpose(picture)
    if turned.has_transparency_data:
        white = Image.new("RGBA", turned.size, "white")
        white.alpha_composite(turned.convert("RGBA"))
        turned = white
    return turned.convert("RGB")
