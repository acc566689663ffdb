"""Office files with known answers: what each holds, and the elements that must come out of it, in order."""

from __future__ import annotations

import base64
import io
import re
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import openpyxl
import pptx
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.util import Pt

from lyceum.core.types import Document, Element, Page
from lyceum.ingest.media import detect
from lyceum.ingest.reading import read
from tests.ingest.office_word import (
    DRAWINGS,
    EQUATIONS,
    HEADINGS,
    MAIN,
    NOTES,
    TABLES,
    Expected,
    drawings,
    equations,
    headings,
    notes,
    p,
    tables,
    word,
    zipped,
)  # fmt: skip

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def deck() -> bytes:
    """A title, bullets, columns in the wrong order, a group, a table with spans, a chart, notes, a hidden slide."""
    made = pptx.Presentation()
    first = made.slides.add_slide(made.slide_layouts[1])
    for text, at in (("right", 400), ("left", 20)):
        first.shapes.add_textbox(Pt(at), Pt(410 if at == 20 else 405), Pt(90), Pt(20)).text_frame.text = text
    first.shapes.title.text = "Cold\nchain"
    frame = first.placeholders[1].text_frame
    frame.text = "Sensors"
    frame.add_paragraph().text = "Gateways"
    frame.paragraphs[1].level = 1
    first.notes_slide.notes_text_frame.text = "Say hello.\nSmile."
    group = first.shapes.add_group_shape()
    inner = group.shapes.add_textbox(Pt(100), Pt(450), Pt(50), Pt(20))
    inner.text_frame.text = "grouped"
    second = made.slides.add_slide(made.slide_layouts[5])
    second.shapes.title.text = "Figures"
    table = second.shapes.add_table(3, 3, Pt(10), Pt(150), Pt(300), Pt(90)).table
    for number, text in enumerate(("Site", "2024", "", "Suzhou", "1", "2", "", "3", "4")):
        table.cell(number // 3, number % 3).text = text
    table.cell(0, 1).merge(table.cell(0, 2))
    table.cell(1, 0).merge(table.cell(2, 0))
    data = CategoryChartData()
    data.categories = ["Q1", "Q2"]
    data.add_series("Sold", (10, 20.5))
    data.add_series("Kept", (1, 2))
    chart = second.shapes.add_chart(XL_CHART_TYPE.LINE, Pt(10), Pt(300), Pt(200), Pt(90), data).chart
    chart.has_title = True
    chart.chart_title.text_frame.text = "By quarter"
    picture = second.shapes.add_picture(io.BytesIO(PIXEL), Pt(10), Pt(420))
    picture._element.nvPicPr.cNvPr.set("descr", "A map of the sites")
    second._element.set("show", "0")
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


DECK: tuple[Expected, ...] = (
    "h1 Cold chain", "t Sensors", "t Gateways", "t left", "t right", "t grouped", "h2 Speaker notes", "t Say hello.\nSmile.",
    "h1 Figures", (1, (("Site", "2024", ""), ("Suzhou", "1", "2"), ("Suzhou", "3", "4"))), "t By quarter",
    (1, (("", "Sold", "Kept"), ("Q1", "10", "1"), ("Q2", "20.5", "2"))), "i A map of the sites",
)  # fmt: skip


def book() -> bytes:
    """Formats, merges, a header of two rows, tables side by side, hidden parts, errors, numbers kept as text."""
    made = openpyxl.Workbook()
    sheet = made.active
    assert sheet is not None
    sheet.title = "Costs"
    rows: tuple[tuple[Any, ...], ...] = (
        ("Costs of all sites",), ("Site", "Cost", None, "Share"), (None, 2024, 2025, None), ("Suzhou", 1234.5, -2, 0.125),
        (None, "=B4*2", "007", "#REF!"), (),
        ("Item", "Price", None, "Code", "Name"), ("bolt", 0.5, None, "A", "Anna"), ("nut", 3, None, None, None),
        ("screw", 4, None, "B", "Bert"),
    )  # fmt: skip
    for row in rows:
        sheet.append(row)
    for merged in ("A1:D1", "A2:A3", "B2:C2", "D2:D3", "A4:A5"):
        sheet.merge_cells(merged)
    sheet["B4"].number_format, sheet["C4"].number_format = (
        "[$€-407] #,##0.00",
        '"$"#,##0.00;[Red]("$"#,##0.00)',
    )
    sheet["D4"].number_format, sheet["B8"].number_format = "0.0%", "0.00"
    sheet["D5"].data_type = "e"
    sheet.row_dimensions[9].hidden = sheet.column_dimensions["D"].hidden = True
    other = made.create_sheet("Kept back")
    other.append(["secret"])
    other.sheet_state = "hidden"
    made.create_chartsheet("Chart")
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


BOOK: tuple[Expected, ...] = (
    "h1 Costs", "t Costs of all sites",
    (2, (("Site", "Cost", "Cost", "Share"), ("Site", "2024", "2025", "Share"), ("Suzhou", "€ 1,234.50", "($2.00)", "12.5%"),
         ("Suzhou", "=B4*2", "007", "#REF!"))),
    (1, (("Item", "Price"), ("bolt", "0.50"), ("nut", "3"), ("screw", "4"))), (1, (("Code", "Name"), ("A", "Anna"))),
    (0, (("B", "Bert"),)), "h1 Kept back", "t secret",
)  # fmt: skip

ODF = 'xmlns:{0}="urn:oasis:names:tc:opendocument:xmlns:{1}:1.0"'
ODF_NS = " ".join(
    ODF.format(prefix, name) for prefix, name in (
        ("office", "office"), ("text", "text"), ("table", "table"), ("draw", "drawing"), ("style", "style"),
        ("presentation", "presentation"), ("svg", "svg-compatible"),
    )
) + ' xmlns:dc="http://purl.org/dc/elements/1.1/"'  # fmt: skip


def odf(kind: str, body: str, styles: str = "", manifest: str = "<m/>") -> bytes:
    return zipped({
        "mimetype": f"application/vnd.oasis.opendocument.{kind}", "META-INF/manifest.xml": manifest,
        "content.xml": f"<office:document-content {ODF_NS}><office:automatic-styles>{styles}</office:automatic-styles>"
        f"<office:body><office:{kind}>{body}</office:{kind}></office:body></office:document-content>",
        "meta.xml": f"<office:document-meta {ODF_NS}><dc:title/></office:document-meta>",
    })  # fmt: skip


def odt() -> bytes:
    styles = '<text:list-style style:name="L"><text:list-level-style-number text:level="1" style:num-format="a"/></text:list-style>'
    items = "<text:list-item><text:p>one</text:p><text:list><text:list-item><text:p>in</text:p></text:list-item></text:list></text:list-item>"
    rows = '<table:table-row><table:table-cell table:number-rows-spanned="2"><text:p>x</text:p></table:table-cell><table:table-cell><text:p>1</text:p></table:table-cell></table:table-row>'
    return odf(
        "text",
        "<text:tracked-changes><text:p>deleted</text:p></text:tracked-changes>"
        '<text:h text:outline-level="2">Part <text:span>two</text:span></text:h>'
        '<text:p>Rent<text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>Due.</text:p></text:note-body></text:note> is<text:s/>low'
        "<office:annotation><dc:creator>Anna</dc:creator><text:p>Is it?</text:p></office:annotation>.</text:p>"
        f'<text:list text:style-name="L">{items}<text:list-item><text:p>two</text:p></text:list-item></text:list>'
        f"<table:table><table:table-header-rows><table:table-row><table:table-cell><text:p>k</text:p></table:table-cell><table:table-cell><text:p>v</text:p></table:table-cell></table:table-row></table:table-header-rows>{rows}"
        "<table:table-row><table:covered-table-cell/><table:table-cell><text:p>2</text:p></table:table-cell></table:table-row></table:table>"
        "<text:p>At <draw:frame><draw:text-box><text:p>Boxed</text:p></draw:text-box></draw:frame>end"
        "<draw:frame><draw:image/><svg:desc>A duck</svg:desc></draw:frame></text:p>",
        styles,
    )  # fmt: skip


ODT: tuple[Expected, ...] = (
    "h2 Part two", "t Rent[1] is low.", "t [1] Due.", "t Comment by Anna: Is it?", "t a. one", "t - in", "t b. two",
    (1, (("k", "v"), ("x", "1"), ("x", "2"))), "t At end", "t Boxed", "i A duck",
)  # fmt: skip


def ods() -> bytes:
    def row(*cells: str, more: str = "") -> str:
        return f"<table:table-row {more}>" + "".join(
            one if one.startswith("<") else f"<table:table-cell>{f'<text:p>{one}</text:p>' if one else ''}</table:table-cell>"
            for one in cells
        ) + "</table:table-row>"  # fmt: skip

    many = '<table:table-cell table:number-columns-repeated="16000"/>'
    empty = row(many, more='table:number-rows-repeated="1048000"')
    twice = '<table:table-cell table:number-columns-repeated="2"><text:p>5 €</text:p></table:table-cell>'
    return odf(
        "spreadsheet",
        f'<table:table table:name="Costs">{row("Site", "2024", "2025")}{row("Suzhou", twice)}{row(more="")}{empty}{row("end")}</table:table>'
        '<table:table table:name="Off" table:style-name="ta2">' + row("secret", more='table:visibility="collapse"') + "</table:table>",
        '<style:style style:name="ta2"><style:table-properties table:display="false"/></style:style>',
    )  # fmt: skip


ODS: tuple[Expected, ...] = (
    "h1 Costs", (0, (("Site", "2024", "2025"), ("Suzhou", "5 €", "5 €"))), "t end", "h1 Off", "t secret",
)  # fmt: skip


def odp() -> bytes:
    body = (
        '<draw:page><draw:frame svg:x="1in" svg:y="2in" svg:width="1in" svg:height="72pt"><draw:text-box><text:p>Body</text:p></draw:text-box></draw:frame>'
        '<draw:frame presentation:class="title"><draw:text-box><text:p>Cold</text:p><text:p>chain</text:p></draw:text-box></draw:frame>'
        "<presentation:notes><draw:frame><draw:text-box><text:p>Smile.</text:p></draw:text-box></draw:frame></presentation:notes></draw:page>"
    )
    return odf("presentation", body)


ODP: tuple[Expected, ...] = ("h1 Cold chain", "t Body", "h2 Speaker notes", "t Smile.")


def rtf() -> bytes:
    return (
        rb"{\rtf1\ansi\ansicpg936\deff0{\fonttbl{\f0\fcharset134 SimSun;}}{\stylesheet{\s0 Normal;}{\s1\b heading 1;}}"
        rb"{\info{\title Rent rules}}{\header Secret header\par}\pard\plain\s1 Scope\par\pard\plain Rent is \b due\b0 .\par"
        rb"\pard \'d7\'e2\'bd\'f0 \u8364?5\par\trowd\pard\intbl Site\cell Cost | net\cell\row\trowd\pard\intbl Suzhou\cell 5\cell\row"
        rb"\pard\outlinelevel1 Part\par{\pict 0102}\pard end\par}"
    )


RTF: tuple[Expected, ...] = (
    "h1 Scope", "t Rent is due.", "t 租金 €5", (1, (("Site", "Cost | net"), ("Suzhou", "5"))), "h2 Part", "t end",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A file with its name, what must come out, and words of the warnings that must be there."""

    name: str
    made: Callable[[], bytes]
    expected: tuple[Expected, ...]
    warned: tuple[str, ...] = ()


def strict(data: bytes) -> bytes:
    """Return an OOXML package in the strict form: other namespaces, nothing else."""
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        return zipped({
            name: re.sub(
                rb"http://schemas\.openxmlformats\.org/((?!package)(?!markup)\w+)/2006/(\w+)", rb"http://purl.oclc.org/ooxml/\1/\2",
                package.read(name),
            ) for name in package.namelist()
        })  # fmt: skip


def kind(data: bytes, other: str) -> bytes:
    """Return a package whose main part claims another kind: a macro file, a show."""
    old = rb"openxmlformats-officedocument\.(?:presentationml\.presentation|spreadsheetml\.sheet)\.main"
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        found = {name: package.read(name) for name in package.namelist()}
    types = re.sub(old, f"{other}.main".encode(), found["[Content_Types].xml"])
    assert types != found["[Content_Types].xml"]
    return zipped({**found, "[Content_Types].xml": types})


CASES = (
    Case("headings.docx", headings, HEADINGS),
    Case("notes.docx", notes, NOTES, ("Tracked changes", "altChunk")),
    Case("tables.docx", tables, TABLES),
    Case("equations.docx", equations, EQUATIONS),
    Case("drawings.docx", drawings, DRAWINGS),
    Case("strict.docx", lambda: strict(drawings()), DRAWINGS),
    Case("macros.docm", lambda: word(p("Words"), "application/vnd.ms-word.document.macroEnabled.main+xml"), ("t Words",)),
    Case("letter.dotx", lambda: word(p("Words"), MAIN.replace("document.main", "template.main")), ("t Words",)),
    Case("macros.pptm", lambda: kind(deck(), "ms-powerpoint.presentation.macroEnabled"), DECK),
    Case("show.ppsx", lambda: kind(deck(), "openxmlformats-officedocument.presentationml.slideshow"), DECK),
    Case("macros.xlsm", lambda: kind(book(), "ms-excel.sheet.macroEnabled"), BOOK),
    Case("deck.pptx", deck, DECK, ("Slide 2 is hidden",)),
    Case("strict.pptx", lambda: strict(deck()), DECK),
    Case("book.xlsx", book, BOOK, ("hidden rows (9)", "hidden columns (D)", "shown as formulas: 1", "error: 1", "Kept back is hidden")),
    Case("strict.xlsx", lambda: strict(book()), BOOK),
    Case("text.odt", odt, ODT, ("Tracked changes",)),
    Case("sheets.ods", ods, ODS, ("Off is hidden", "hidden rows or columns")),
    Case("slides.odp", odp, ODP),
    Case("rules.rtf", rtf, RTF),
)  # fmt: skip


def replaced(data: bytes, part: str, old: bytes, new: bytes) -> bytes:
    """Return a package with other bytes in the parts whose name holds `part`."""
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        found = {name: package.read(name) for name in package.namelist()}
    return zipped({name: body.replace(old, new) if part in name else body for name, body in found.items()})


def pages(data: bytes, name: str) -> list[Page]:
    return list(read(data, Document(id="d", source=name, version="1", media=detect(data, name))))


def shapes(elements: Sequence[Element]) -> tuple[Expected, ...]:
    """Return elements in the notation of expectations."""
    return tuple(
        (one.table.header, one.table.rows) if one.table else f"{one.kind[0]}{one.level or ''} {one.text}"
        for one in elements
    )
