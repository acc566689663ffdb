"""An application in this process over a home of a test's own, and PDF files to put into it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import pypdfium2 as pdfium
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from reportlab.pdfgen import canvas

from lyceum.app.server import create
from lyceum.app.settings import load

MARKED = (255, 228, 92)


@contextmanager
def shelf(home: Path, **given: str) -> Iterator[TestClient]:
    """Open the application without models; `given` are variables of its environment."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("LYCEUM_")]:
            patch.delenv(name)
        settings = load(str(home), {"LYCEUM_MODELS": str(home.parent / "no-models"), **given})
        with TestClient(create(settings), raise_server_exceptions=False) as client:
            yield client


def pdf(pages: Sequence[Sequence[str]], *, image: Image.Image | None = None) -> bytes:
    """Return a PDF with a line of text each 20 points; `image` fills a last page of its own."""
    made = BytesIO()
    paper = canvas.Canvas(made, pagesize=(400, 500), invariant=1)
    for lines in pages:
        for number, line in enumerate(lines):
            paper.drawString(50, 440 - 20 * number, line)
        paper.showPage()
    if image is not None:
        paper.drawInlineImage(image, 0, 0, 400, 500)
        paper.showPage()
    paper.save()
    return made.getvalue()


def turned(data: bytes, degrees: int) -> bytes:
    """Return a PDF whose first page is shown turned."""
    document, made = pdfium.PdfDocument(data), BytesIO()
    document[0].set_rotation(degrees)
    document.save(made)
    document.close()
    return made.getvalue()


def add(client: TestClient, name: str, data: bytes, readers: str = "", source: str = "") -> dict[str, Any]:
    """Upload a file; return what the server says of it."""
    fields = {"readers": readers, "source": source}
    response = client.post("/api/documents", files={"file": (name, data)}, data=fields)
    assert response.status_code == 201, response.text
    told: dict[str, Any] = response.json()
    return told


def picture(data: bytes) -> Image.Image:
    """Open a PNG."""
    image = Image.open(BytesIO(data))
    assert image.format == "PNG"
    return image


def marked(image: Image.Image) -> list[tuple[int, int]]:
    """Return the places of the marker's colour."""
    pixels: Any = image.load()
    return [(x, y) for x in range(image.width) for y in range(image.height) if pixels[x, y] == MARKED]


def dark_inside(image: Image.Image) -> int:
    """Return how many dark pixels stand inside the marked area: the words that it covers."""
    places = marked(image)
    columns, rows = [x for x, _ in places], [y for _, y in places]
    area = image.crop((min(columns), min(rows), max(columns) + 1, max(rows) + 1)).convert("L")
    return sum(value < 100 for value in area.tobytes())
