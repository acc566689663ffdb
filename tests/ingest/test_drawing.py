"""Pages drawn: pictures of every kind, the right frame, marks in the right place, and no page of another file."""

from __future__ import annotations

import base64
import hashlib
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from lyceum.core.errors import ParseError
from lyceum.ingest.drawing import OPENED, draw
from tests.app.shelf import marked, pdf, picture


def drawn(
    data: bytes, media: str, page: int = 1, *, dpi: int = 150, boxes: Any = (), **more: Any
) -> Image.Image:
    sha256 = hashlib.sha256(data).hexdigest()
    wanted = {"page": page, "dpi": dpi, "boxes": boxes, "sha256": sha256, **more}
    return picture(base64.b64decode(draw(data, media, wanted)["png"]))


def saved(image: Image.Image, kind: str, **more: Any) -> bytes:
    made = BytesIO()
    image.save(made, kind, **more)
    return made.getvalue()


@pytest.mark.parametrize("kind", ["png", "jpeg", "tiff", "gif", "bmp", "webp"])
def test_pictures(kind: str) -> None:
    data = saved(Image.new("RGB", (300, 200), "white"), kind)
    assert drawn(data, kind).size == (300, 200)
    image = drawn(data, kind, dpi=75, boxes=[(20, 20, 100, 60)])
    assert image.size == (150, 100)
    places = marked(image)
    assert [min(x for x, _ in places), max(x for x, _ in places)] == [9, 50]
    assert [min(y for _, y in places), max(y for _, y in places)] == [9, 30]


def test_the_frame_that_is_meant() -> None:
    frames = [Image.new("RGB", (9, 9), colour) for colour in ("red", "green", "blue")]
    data = saved(frames[0], "tiff", save_all=True, append_images=frames[1:])
    assert [drawn(data, "tiff", page).getpixel((4, 4)) for page in (1, 3)] == [(255, 0, 0), (0, 0, 255)]
    with pytest.raises(ParseError) as absent:
        drawn(data, "tiff", 4)
    assert absent.value.code == "page"


def test_what_is_turned_or_transparent() -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    assert drawn(saved(Image.new("RGB", (30, 20)), "jpeg", exif=turned), "jpeg").size == (20, 30)
    assert drawn(saved(Image.new("RGBA", (9, 9), (0, 0, 0, 0)), "png"), "png").getpixel((4, 4)) == (
        255,
        255,
        255,
    )


def test_boxes_outside_of_the_page_harm_nothing() -> None:
    data = saved(Image.new("RGB", (30, 20), "white"), "png")
    assert marked(drawn(data, "png", boxes=[(-50, -50, -10, -10), (90, 90, 99, 99), (9, 9, 3, 3)])) == []
    assert len(marked(drawn(data, "png", boxes=[(-9, -9, 999, 999)]))) == 600


def test_refused() -> None:
    small = saved(Image.new("1", (9, 9)), "png")
    with pytest.raises(ParseError) as changed:
        drawn(small, "png", sha256="0" * 64)
    assert changed.value.code == "changed"
    with pytest.raises(ParseError) as large:
        drawn(saved(Image.new("1", (OPENED // 5_000 + 1, 5_000)), "png"), "png")
    assert large.value.code == "limit"
    with pytest.raises(ParseError) as cut:
        drawn(pdf([["x"]])[:100], "pdf")
    assert cut.value.code == "password"
