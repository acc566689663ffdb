"""Tables of PDF pages: ruled, half ruled, set by blank columns, over pages; and what only looks like one."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import pytest
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas

from lyceum.core.types import Document, Element, Table
from lyceum.ingest.pdf import parse

Paint = Callable[[Canvas], object]
GOODS = (
    ("Product", "Price", "Stock"),
    ("Anchor", "1,250.00", "12"),
    ("Chain of steel", "80.50", "7"),
    ("Buoy", "9.90", "1,400"),
    ("Rope", "110.00", "35"),
)
PROSE = (
    "The harbour office opens at eight and closes when the last ship of the day has left the inner basin. "
    "Visitors report to the desk near the gate, where a badge is printed and a vest handed out to each. "
)


def pdf(*pages: Paint, font: str = "Helvetica", size: tuple[float, float] = (595, 842)) -> bytes:
    made = io.BytesIO()
    canvas = Canvas(made, pagesize=size)
    for paint in pages:
        canvas.setFont(font, 10)
        paint(canvas)
        canvas.showPage()
    canvas.save()
    return made.getvalue()


def elements(data: bytes) -> list[Element]:
    return [
        one for page in parse(data, Document(id="d", source="a.pdf", version="1")) for one in page.elements
    ]


def tables(data: bytes) -> list[Table]:
    return [one.table for one in elements(data) if one.table]


def lines(canvas: Canvas, text: Sequence[str], x: float, y: float) -> None:
    for number, line in enumerate(text):
        canvas.drawString(x, y - 12 * number, line)


def goods(rows: Sequence[Sequence[str]] = GOODS, y: float = 700, step: float = 16) -> Paint:
    """Draw a first column aligned left and others aligned right."""

    def paint(canvas: Canvas) -> None:
        for number, row in enumerate(rows):
            canvas.drawString(72, y - step * number, row[0])
            for column, text in enumerate(row[1:]):
                canvas.drawRightString(280 + 90 * column, y - step * number, text)

    return paint


def framed(canvas: Canvas, xs: Sequence[float], ys: Sequence[float]) -> None:
    for x in xs:
        canvas.line(x, ys[0], x, ys[-1])
    for y in ys:
        canvas.line(xs[0], y, xs[-1], y)


def both(*paints: Paint) -> Paint:
    return lambda canvas: [paint(canvas) for paint in paints]


def test_a_ruled_table_with_cells_of_several_lines() -> None:
    def paint(canvas: Canvas) -> None:
        framed(canvas, (70, 200, 400), (720, 700, 660, 620))
        lines(canvas, ["Part"], 74, 706)
        lines(canvas, ["Use"], 204, 706)
        lines(canvas, ["Winch"], 74, 688)
        lines(canvas, ["lifts the anchor and", "the chain on deck"], 204, 688)
        lines(canvas, ["Fender between", "ship and quay"], 74, 648)
        lines(canvas, ["keeps the paint whole"], 204, 648)

    assert tables(pdf(paint))[0].rows == (
        ("Part", "Use"),
        ("Winch", "lifts the anchor and the chain on deck"),
        ("Fender between ship and quay", "keeps the paint whole"),
    )


def test_rows_without_rulings_inside_a_frame_are_rows() -> None:
    frame = both(goods(), lambda canvas: framed(canvas, (68, 200, 290, 380), (714, 696, 630)))
    assert tables(pdf(frame))[0].rows == GOODS


def test_thin_rectangles_and_cells_drawn_one_by_one_are_rulings() -> None:
    def paint(canvas: Canvas) -> None:
        goods()(canvas)
        for number in range(len(GOODS)):
            for left, right in ((68, 200), (200, 290), (290, 380)):
                canvas.rect(left, 694 - 16 * number, right - left, 16)

    def filled(canvas: Canvas) -> None:
        goods()(canvas)
        for number in range(len(GOODS) + 1):
            canvas.rect(68, 710 - 16 * number, 312, 0.6, stroke=0, fill=1)
        for x in (68, 200, 290, 380):
            canvas.rect(x, 630, 0.6, 80, stroke=0, fill=1)

    for one in (paint, filled):
        assert tables(pdf(one))[0].rows == GOODS


def test_a_table_between_horizontal_rules_keeps_its_header_and_leaves_its_note() -> None:
    def paint(canvas: Canvas) -> None:
        for y, row in zip((700, 680, 664, 648, 632), (("Name", "Task"), *TASKS), strict=True):
            canvas.drawString(72, y, row[0])
            canvas.drawString(220, y, row[1])
        for y in (714, 694, 626):
            canvas.line(70, y, 420, y)
        canvas.drawString(72, 612, "Note: tasks change")
        canvas.drawString(220, 612, "every month.")

    data = pdf(paint)
    assert tables(data)[0].rows == (("Name", "Task"), *TASKS)
    assert any("Note: tasks change" in one.text for one in elements(data) if not one.table)


TASKS = (
    ("Ada", "reads the gauges at the mole"),
    ("Ben", "greases the bearings of both cranes"),
    ("Cleo", "counts the crates"),
    ("Dora", "writes the log of the night"),
)


def test_blank_columns_make_a_table_whose_rows_have_places() -> None:
    data = pdf(both(goods(), lambda canvas: lines(canvas, [PROSE[:90], PROSE[:88]], 72, 780)))
    found = elements(data)
    table = next(one for one in found if one.table)
    assert table.table is not None
    assert table.table.rows == GOODS
    assert table.table.header == 1
    boxes = [place.box for place in table.table.places]
    assert all(place.page == 1 for place in table.table.places)
    for number, box in enumerate(boxes):
        assert box is not None
        assert box[0] <= 72 < 370 <= box[2]
        assert box[1] < 842 - (700 - 16 * number) < box[3]
        assert box[3] - box[1] < 16
    assert table.place.box is not None
    assert table.place.box[1] == boxes[0][1]  # type: ignore[index]
    assert not any("Anchor" in one.text for one in found if not one.table), "said once"


def test_lines_of_one_cell_are_joined_without_rulings() -> None:
    rows = [
        *GOODS[:3],
        ("Lamp that burns all night", "", ""),
        ("and in all weathers", "45.00", "3"),
        *GOODS[3:],
    ]
    found = tables(pdf(goods(rows, step=11)))[0].rows
    assert ("Lamp that burns all night and in all weathers", "45.00", "3") in found
    assert len(found) == len(GOODS) + 1


def test_a_shaded_header_and_signs_of_money_belong_to_their_table() -> None:
    rows = (
        ("In millions", "", "2024", "", "2025"),
        ("Sales", "$", "1,250", "$", "1,400"),
        ("Cost", "", "80", "", "75"),
    )

    def paint(canvas: Canvas) -> None:
        canvas.setFillColorRGB(0.8, 0.9, 1)
        for left, right in ((70, 220), (220, 300), (300, 380)):
            canvas.rect(left, 696, right - left, 18, stroke=0, fill=1)
        canvas.setFillColorRGB(0, 0, 0)
        for number, row in enumerate((*rows, ("Profit", "$", "1,170", "$", "1,325"))):
            canvas.drawString(72, 702 - 16 * number, row[0])
            for x, text in zip((230, 290, 310, 370), row[1:], strict=True):
                canvas.drawRightString(x, 702 - 16 * number, text)

    assert tables(pdf(paint))[0].rows == (
        ("In millions", "2024", "2025"),
        ("Sales", "$ 1,250", "$ 1,400"),
        ("Cost", "80", "75"),
        ("Profit", "$ 1,170", "$ 1,325"),
    )


def test_a_name_over_several_columns_is_repeated_and_both_lines_are_header() -> None:
    def paint(canvas: Canvas) -> None:
        framed(canvas, (68, 200, 290, 380), (710, 694, 678, 662))
        canvas.setFillColorRGB(1, 1, 1)
        canvas.rect(289, 695, 2, 14, stroke=0, fill=1)
        canvas.setFillColorRGB(0, 0, 0)
        for y, row in ((698, ("", "", "")), (682, ("Port", "2024", "2025")), (666, ("Bergen", "31", "44"))):
            for x, text in zip((74, 210, 300), row, strict=True):
                canvas.drawString(x, y, text)

    def spanning(canvas: Canvas) -> None:
        for y in (710, 694, 678, 662):
            canvas.line(68, y, 380, y)
        for x in (68, 200, 380):
            canvas.line(x, 710, x, 662)
        canvas.line(290, 694, 290, 662)
        canvas.drawString(250, 698, "Ships a day")
        for y, row in ((682, ("Port", "summer", "winter")), (666, ("Bergen", "31", "44"))):
            for x, text in zip((74, 210, 300), row, strict=True):
                canvas.drawString(x, y, text)

    assert tables(pdf(paint))[0].rows == (("Port", "2024", "2025"), ("Bergen", "31", "44"))
    found = tables(pdf(spanning))[0]
    assert found.rows[0] == ("", "Ships a day", "Ships a day")
    assert found.header == 2


def test_chinese() -> None:
    pdfmetrics.registerFont(UnicodeCIDFont("STSong-Light"))
    rows = (
        ("产品 名称", "单价", "库存"),
        ("船锚", "1,250.00", "12"),
        ("浮标", "9.90", "1,400"),
        ("缆绳", "110.00", "35"),
    )
    assert tables(pdf(goods(rows), font="STSong-Light"))[0].rows == (("产品名称", "单价", "库存"), *rows[1:])


def columns(canvas: Canvas) -> None:
    words = (PROSE * 12).split()
    for x in (72, 310):
        y = 760.0
        line = ""
        for word in words:
            if pdfmetrics.stringWidth(f"{line} {word}", "Helvetica", 10) > 215:
                canvas.drawString(x, y, line)
                line, y = word, y - 12
            else:
                line = f"{line} {word}".strip()


def contents(dots: str) -> Paint:
    names = ("Introduction", "Harbours of the north", "Ropes and chains", "Lamps", "Tides and winds", "Index")
    return lambda canvas: [
        (
            canvas.drawString(72, 700 - 16 * number, name + dots * (60 - len(name))),
            canvas.drawRightString(500, 700 - 16 * number, str(3 + 14 * number)),
        )
        for number, name in enumerate(names)
    ]


def boxed(canvas: Canvas) -> None:
    framed(canvas, (60, 540), (730, 640))
    lines(canvas, [PROSE[start : start + 85] for start in range(0, 170, 85)] * 2, 70, 710)


def plot(canvas: Canvas) -> None:
    framed(canvas, (100, 200, 300, 400), (700, 650, 600, 550))
    for shift in (0, 20):
        path = canvas.beginPath()
        path.moveTo(100, 560 + shift)
        for step in range(1, 30):
            path.lineTo(100 + 10 * step, 560 + shift + (step * 37) % 100)
        canvas.drawPath(path)
    for row in range(3):
        for column in range(3):
            canvas.drawString(120 + 100 * column, 670 - 50 * row, f"{row}.{column}")


def formulas(canvas: Canvas) -> None:
    for number in range(4):
        y = 700 - 14 * number
        for x, text in ((120, "f ( x )"), (200, "= a x + b"), (300, "x > 0"), (480, f"({number})")):
            canvas.drawString(x, y, text)


@pytest.mark.parametrize(
    "paint", [columns, contents("."), contents(" "), boxed, plot, formulas],
    ids=["columns", "dotted contents", "contents", "boxed paragraph", "plot", "formulas"],
)  # fmt: skip
def test_what_only_looks_like_a_table(paint: Paint) -> None:
    data = pdf(paint)
    assert elements(data), "control: the words are read"
    assert tables(data) == []


def test_the_frame_of_the_plot_without_its_curves_is_a_table() -> None:
    def paint(canvas: Canvas) -> None:
        canvas.drawPath = lambda *_, **__: None
        plot(canvas)

    assert tables(pdf(paint))[0].rows == (("0.0", "0.1", "0.2"), ("1.0", "1.1", "1.2"), ("2.0", "2.1", "2.2"))


MORE = (("Lamp", "45.00", "3"), ("Oar", "30.00", "60"), ("Sail", "900.00", "2"))


def number(text: str) -> Paint:
    return lambda canvas: canvas.drawCentredString(297, 40, text)


@pytest.mark.parametrize("header", [True, False], ids=["header repeated", "header not repeated"])
def test_a_table_goes_on_over_pages(header: bool) -> None:
    second = (GOODS[0], *MORE) if header else MORE
    last = (*MORE[1:], ("Mast", "4,000.00", "1"))
    data = pdf(
        both(goods(y=160), number("Page 1 of 4")),
        both(goods(second, y=780), number("Page 2 of 4")),
        both(goods(last, y=780), number("Page 3 of 4")),
        lambda canvas: lines(canvas, ["The stock was counted in May."], 72, 700),
    )
    pages = list(parse(data, Document(id="d", source="a.pdf", version="1")))
    assert len(pages) == 4
    found = [one for page in pages for one in page.elements if one.table]
    assert len(found) == 1
    table = found[0].table
    assert table is not None
    assert table.rows == (*GOODS, *MORE, *last)
    assert [place.page for place in table.places] == [1] * 5 + [2] * 3 + [3] * 3
    second_page = table.places[5].box
    assert second_page is not None
    assert second_page[1] < 100, "a row's box is that of its own page"
    assert [piece.place.page for piece in found[0].pieces] == [1] * 5 + [2] * 3 + [3] * 3
    assert "counted in May" in pages[3].elements[0].text


def test_tables_apart_stay_apart() -> None:
    def headed(canvas: Canvas) -> None:
        canvas.setFont("Helvetica-Bold", 18)
        canvas.drawString(72, 800, "Winter stock")
        canvas.setFont("Helvetica", 10)
        goods(y=760)(canvas)

    def moved(canvas: Canvas) -> None:
        canvas.translate(60, 0)
        goods(y=780)(canvas)

    three = tuple(row[:2] for row in GOODS)
    for second in (headed, moved, goods(three, y=780)):
        assert len(tables(pdf(goods(y=160), second))) == 2
    note = both(
        goods(y=300), lambda canvas: lines(canvas, ["The stock was counted in May by two clerks."], 72, 160)
    )
    assert len(tables(pdf(note, goods(y=780)))) == 2


def test_boxes_are_those_of_the_shown_page() -> None:
    def paint(canvas: Canvas) -> None:
        canvas.setPageRotation(90)
        canvas.translate(595, 0)
        canvas.rotate(90)
        goods(y=500)(canvas)

    table = next(one for one in elements(pdf(paint)) if one.table)
    assert table.table is not None
    assert table.table.rows == GOODS
    box = table.table.places[0].box
    assert box is not None
    assert box[1] < 595 - 500 < box[3]
    assert box[0] <= 72 < 370 <= box[2]
