"""Scans and pictures: what is read whichever way up, where it stands, and what is said when nothing can read."""

from __future__ import annotations

import io
import struct
import zlib
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pypdfium2
import pytest
from PIL import Image
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen import canvas

from lyceum.core.errors import ParseError
from lyceum.core.types import Document, Element
from lyceum.ingest import ocr, pdf, picture
from lyceum.ingest.isolate import Isolated, Parsed
from lyceum.ingest.media import detect
from lyceum.ingest.ocr_layout import Word, arrange
from lyceum.ingest.pipeline import Outcome
from tests.ingest.test_bad_input import ingested, job
from tests.toys import run

HEADING, BODY = "Anchor inspection", "The anchor weighs 40 kg and is inspected each spring."
CHINESE = Path(__file__).parents[2] / "examples" / "documents" / "employee-handbook-zh.pdf"
DOCUMENT = Document(id="d", source="scan.pdf", version="1")
WIDE, HIGH = 360, 200  # points of a small page
DOTS = 2  # pixels to a point
ANGLES = (0, 90, 180, 270)


def drawn(*more: str) -> Image.Image:
    """Return a small page as a picture."""
    made = io.BytesIO()
    page = canvas.Canvas(made, pagesize=(WIDE, HIGH))
    page.setFont("Helvetica", 24)
    page.drawString(30, 150, HEADING)
    page.setFont("Helvetica", 12)
    for number, text in enumerate((BODY, *more)):
        page.drawString(30, 110 - 30 * number, text)
    page.save()
    with pypdfium2.PdfDocument(made.getvalue()) as opened:
        picture: Image.Image = opened[0].render(scale=DOTS).to_pil()
        return picture


def saved(image: Image.Image, kind: str, **more: Any) -> bytes:
    made = io.BytesIO()
    image.save(made, kind, **more)
    return made.getvalue()


def scan(*pages: Image.Image | str) -> bytes:
    """Return a PDF with pages of pictures, or of text."""
    made = io.BytesIO()
    sheet = canvas.Canvas(made)
    for page in pages:
        if isinstance(page, str):
            sheet.setPageSize((WIDE, HIGH))
            sheet.drawString(30, 150, page)
        else:
            size = (page.width / DOTS, page.height / DOTS)
            sheet.setPageSize(size)
            sheet.drawImage(ImageReader(page), 0, 0, *size)
        sheet.showPage()
    sheet.save()
    return made.getvalue()


def read(folder: Path, name: str, data: bytes, **limits: Any) -> Parsed:
    path = folder / name
    path.write_bytes(data)

    async def work() -> Parsed:
        reader = Isolated(**limits)
        try:
            return await reader(path, name, Document(id="d", source=name, version="1"))
        finally:
            await reader.close()

    return run(work())


def texts(elements: Any) -> list[str]:
    return [element.text for element in elements]


def check_words(elements: Any) -> None:
    assert [(one.kind, one.text) for one in elements] == [("heading", HEADING), ("text", BODY)]


@pytest.mark.parametrize("angle", ANGLES)
def test_a_scan_is_read_whichever_way_up_with_places_on_the_page_as_shown(angle: int) -> None:
    (page,) = pdf.parse(scan(drawn().rotate(-angle, expand=True)), DOCUMENT)
    assert (page.ocr, page.pictured, page.warnings) == (True, True, ())
    check_words(page.elements)
    left, top, right, bottom = page.elements[0].place.box or (0, 0, 0, 0)
    upright = {
        0: (left, top, right, bottom),
        90: (top, HIGH - right, bottom, HIGH - left),
        180: (WIDE - right, HIGH - bottom, WIDE - left, HIGH - top),
        270: (WIDE - bottom, left, WIDE - top, right),
    }[angle]
    assert upright == pytest.approx((30, 30, 223, 55), abs=9)
    assert all(piece.place.page == 1 and piece.place.box for one in page.elements for piece in one.pieces)


def test_pdf_says_itself_that_a_scan_is_turned() -> None:
    """The file's picture lies on its side and the page's own rotation puts it upright."""
    with pypdfium2.PdfDocument(scan(drawn().rotate(90, expand=True))) as opened:
        opened[0].set_rotation(90)
        made = io.BytesIO()
        opened.save(made)
    (page,) = pdf.parse(made.getvalue(), DOCUMENT)
    check_words(page.elements)
    assert page.elements[0].place.box == pytest.approx((30, 30, 223, 55), abs=9)


def test_a_page_with_a_text_layer_is_not_recognised() -> None:
    made = io.BytesIO()
    page = canvas.Canvas(made, pagesize=(WIDE, HIGH))
    page.drawImage(ImageReader(drawn()), 0, 0, WIDE, HIGH)
    page.drawString(30, 60, "These words stand in a layer of text already.")
    page.save()
    (found,) = pdf.parse(made.getvalue(), DOCUMENT)
    assert (found.ocr, found.pictured) == (False, True)
    assert texts(found.elements) == ["These words stand in a layer of text already."]


def test_png_with_chinese_and_an_empty_background(tmp_path: Path) -> None:
    with pypdfium2.PdfDocument(CHINESE) as opened:
        page = opened[0].render(scale=1.6).to_pil().convert("L").crop((0, 0, 960, 330))
    clear = Image.new("LA", page.size)  # black throughout, seen through where the page is white
    clear.putalpha(Image.fromarray(255 - np.asarray(page)))
    found = read(tmp_path, "page.png", saved(clear, "PNG"))
    assert (found.media, found.pages, found.language) == ("png", 1, "zh")
    assert "泰沃冷链集团中国区员工手册" in texts(one for one in found.elements if one.kind == "heading")
    assert "编制：人力资源部；批准人：温雅婷" in "".join(texts(found.elements)).replace(";", "；")


@pytest.mark.parametrize(
    ("last", "below", "page", "kept"),
    [
        ("Lease of a shed · 3", 700, 3, False),
        ("Page 3 of 12", 700, 3, False),
        ("Lease of a shed · 3", 700, 4, True),  # another number than the page's
        ("Twelve kegs, total 3", 160, 3, True),  # right below the text
    ],
)
def test_a_page_number_under_the_text_is_left_out(last: str, below: int, page: int, kept: bool) -> None:
    texts = ["One line of words", "Two lines of words", "Three lines of words", "Four lines of words", last]
    tops = [40, 70, 100, 130, below]
    words = [
        Word(text, ((30, top), (330, top), (330, top + 20), (30, top + 20)), 1.0)
        for text, top in zip(texts, tops, strict=True)
    ]
    assert any(last in one.text for one in arrange(words, 0, "d", page)) == kept


def test_a_tiff_of_two_pages_within_the_limits_of_a_document_without_scans(tmp_path: Path) -> None:
    data = saved(drawn(), "TIFF", save_all=True, append_images=[drawn("It lies in hall 7.")])
    found = read(tmp_path, "pages.tif", data, cpu_seconds=3)
    assert (found.media, found.pages) == ("tiff", 2)
    assert [one.place.page for one in found.elements] == [1, 1, 2, 2, 2]
    assert found.elements[-1].text == "It lies in hall 7."


def test_photographs_are_turned_as_their_camera_says() -> None:
    lying = drawn().rotate(90, expand=True)
    told = Image.Exif()
    told[0x0112] = 6  # turn it by 90 degrees to the right
    (page,) = picture.parse(saved(lying, "JPEG", exif=told, quality=90), DOCUMENT)
    check_words(page.elements)
    assert page.elements[0].place.box == pytest.approx((60, 60, 446, 110), abs=18)


def test_a_picture_without_words_is_empty(tmp_path: Path) -> None:
    with pytest.raises(ParseError) as problem:
        read(tmp_path, "sky.png", saved(Image.linear_gradient("L"), "PNG"))
    assert problem.value.code == "empty"


def test_pixels_are_counted_before_they_are_decoded() -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    assert detect(data, "large") == "png"
    with pytest.raises(ParseError) as problem:
        list(picture.parse(data, DOCUMENT))
    assert (problem.value.code, "60000 x 60000" in problem.value.message) == ("limit", True)


@pytest.mark.parametrize(("how", "hint"), [
    ("missing", "pip install 'lyceum[ocr]'"), ("tesseract", "apt install tesseract-ocr"), ("off", '"auto"'),
])  # fmt: skip
def test_without_an_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, hint: str) -> None:
    """A scan and a picture are refused with what to do; a document with some text is read, with a warning."""
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "rapidocr.py").write_text("raise ModuleNotFoundError('No module named rapidocr')")
    monkeypatch.setenv("PYTHONPATH", str(blocked))
    monkeypatch.setenv("PATH", str(blocked))
    option = "auto" if how == "missing" else how
    for name, data in (("scan.pdf", scan(drawn())), ("page.png", saved(drawn(), "PNG"))):
        with pytest.raises(ParseError) as problem:
            read(tmp_path, name, data, ocr=option)
        assert (problem.value.code, hint in problem.value.hint) == ("empty", True), problem.value
    found = read(tmp_path, "mixed.pdf", scan(BODY, drawn()), ocr=option)
    assert texts(found.elements) == [BODY]
    assert [("Page 2" in said, hint in said) for said in found.warnings] == [(True, True)]


def test_a_scan_is_read_again_when_ocr_is_switched_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mixed.pdf").write_bytes(scan("The buoy is yellow.", drawn()))
    (tmp_path / "scan.pdf").write_bytes(scan(drawn()))
    files = job(tmp_path / "mixed.pdf"), job(tmp_path / "scan.pdf")

    def outcomes(**environment: str) -> list[tuple[str, int]]:
        found: dict[str, Outcome] = ingested(tmp_path / "home", *files, **environment)
        return [(one.status, len(one.warnings)) for one in found.values()]

    assert outcomes(LYCEUM_READER__OCR="off") == [("added", 1), ("failed", 0)]
    assert outcomes(LYCEUM_READER__OCR="off") == [("unchanged", 0), ("failed", 0)]
    assert outcomes() == [("updated", 0), ("added", 0)]
    assert outcomes() == [("unchanged", 0), ("unchanged", 0)]


def test_tesseracts_table_becomes_lines() -> None:
    head = "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext"
    rows = ["4\t1\t1\t1\t1\t0\t10\t20\t90\t12\t-1\t", "5\t1\t1\t1\t1\t1\t10\t20\t40\t12\t90\tAn"]
    rows += ['5\t1\t1\t1\t1\t2\t60\t22\t40\t10\t80\t"anchor', "5\t1\t1\t1\t2\t1\t10\t40\t30\t12\t70\tdrops"]
    first, second = ocr._lines("\n".join([head, *rows]))
    assert first == ('An "anchor', [(10, 20), (100, 20), (100, 32), (10, 32)], pytest.approx(0.85))
    assert second[0] == "drops"


def words(*rows: str, x: float = 50, y: float = 50, step: float = 16, letter: float = 5) -> list[Word]:
    """Return words as a level scan has them: a row a line, cells apart by a bar, each at its own column."""
    found = []
    for number, row in enumerate(rows):
        for column, text in enumerate(row.split("|")):
            left, top = x + 110 * column, y + step * number
            right, bottom = left + letter * len(text), top + 12
            if text:
                corners = ((left, top), (right, top), (right, bottom), (left, bottom))
                found.append(Word(text, corners, 0.99))
    return found


def askew(found: list[Word], slope: float) -> list[Word]:
    return [
        Word(one.text, tuple((x - slope * y, y + slope * x) for x, y in one.corners), one.score)
        for one in found
    ]


LEFT = ["The left column tells of anchors and", "goes on below its first line until the", "column ends here."]
RIGHT = ["The right column tells of chains and", "goes on below its first line as well", "and ends here."]


@pytest.mark.parametrize("slope", [0.0, 0.02, -0.02])
def test_columns_are_read_one_after_the_other(slope: float) -> None:
    title = words(
        "Anchors and chains, a long title over both of the columns of this page", x=50, y=20, letter=6
    )
    page = [*title, *words(*RIGHT, x=280), *words(*LEFT, x=50)]
    assert texts(arrange(askew(page, slope), 0, "d", 1)) == [title[0].text, " ".join(LEFT), " ".join(RIGHT)]


@pytest.mark.parametrize("slope", [0.0, 0.02])
def test_cells_in_columns_are_a_table(slope: float) -> None:
    rows = ["Part|Weight|Price", "anchor|40 kg|300", "chain||120", "buoy|3 kg|80"]
    page = [
        *words("The parts of a mooring cost:", y=20),
        *words(*rows),
        *words("Prices hold for 2026.", y=130),
    ]
    before, table, after = arrange(askew(page, slope), 0, "d", 1)
    assert (before.text, after.text) == ("The parts of a mooring cost:", "Prices hold for 2026.")
    assert table.table is not None
    assert table.table.rows == tuple(tuple(row.split("|")) for row in rows)
    assert table.table.header == 1
    boxes = [place.box for place in table.table.places]
    assert all(a and b and a[1] < b[1] for a, b in pairwise(boxes))


def test_pairs_on_one_row_are_read_across() -> None:
    page = [*words("Invoice|No. 4711"), *words("To be paid within 30 days of its date.", y=120)]
    assert texts(arrange(page, 0, "d", 1)) == ["Invoice No. 4711", "To be paid within 30 days of its date."]


def test_a_note_in_the_margin_does_not_part_the_lines() -> None:
    note = Word("draft of May", ((10, 200), (10, 40), (22, 40), (22, 200)), 0.9)
    found: list[Element] = arrange([note, *words(*LEFT)], 0, "d", 1)
    assert [(one.kind, one.text) for one in found] == [("text", " ".join(LEFT)), ("text", note.text)]


def test_a_long_picture_is_cut_between_its_lines() -> None:
    page = np.full((12_000, 1_000, 3), 255, np.uint8)
    for top in range(20, 12_000, 50):
        page[top : top + 30, ::3] = 0
    strips = list(ocr._strips(page))
    assert len(strips) > 2
    assert sum(strip.shape[0] for strip, _, _ in strips) == 12_000
    for strip, top, factor in strips:
        assert (factor, strip.shape[0] * strip.shape[1] <= ocr.STRIP) == (1.0, True)
        assert top == 0 or not 20 <= top % 50 < 50
