"""Office files with known answers: what each holds, and the elements that must come out of it, in order.

An expectation is "h1 words", "t words" (text), "i words" (image), "f words" (formula), "c words" (code) or
(header rows, rows) for a table.
"""

from __future__ import annotations

import base64
import importlib
import io
import re
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import openpyxl
import pptx
from openpyxl.styles import Alignment  # noqa: F401 - openpyxl finds its styles through it
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.util import Pt

from lyceum.core.types import Document, Element, Page
from lyceum.ingest.media import PARSERS, detect

Expected = str | tuple[int, tuple[tuple[str, ...], ...]]
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
NS = " ".join(
    f'xmlns:{prefix}="http://schemas.openxmlformats.org/{path}"'
    for prefix, path in (
        ("w", "wordprocessingml/2006/main"), ("r", "officeDocument/2006/relationships"),
        ("m", "officeDocument/2006/math"), ("a", "drawingml/2006/main"), ("c", "drawingml/2006/chart"),
        ("wp", "drawingml/2006/wordprocessingDrawing"), ("dgm", "drawingml/2006/diagram"),
        ("mc", "markup-compatibility/2006"), ("ss", "spreadsheetml/2006/main"),
    )
) + ' xmlns:wps="http://schemas.microsoft.com/office/word/2010/wordprocessingShape" xmlns:v="urn:schemas-microsoft-com:vml"'  # fmt: skip
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
MAIN = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"


def zipped(files: dict[str, str | bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, body in files.items():
            archive.writestr(name, body)
    return made.getvalue()


def word(body: str, main: str = MAIN, **parts: str) -> bytes:
    """Return a DOCX of raw XML; `parts` are related by the name of their kind: footnotes, styles, chart."""
    relations = "".join(
        f'<Relationship Id="{kind}" Type="{OFFICE}/{kind}" Target="{kind}.xml"/>' for kind in parts
    )
    relation = "http://schemas.openxmlformats.org/package/2006/relationships"
    return zipped({
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/word/document.xml" ContentType="{main}"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{relation}"><Relationship Id="r" '
        f'Type="{OFFICE}/officeDocument" Target="word/document.xml"/></Relationships>',
        "word/_rels/document.xml.rels": f'<Relationships xmlns="{relation}">{relations}</Relationships>',
        "word/document.xml": f"<w:document {NS}><w:body>{body}</w:body></w:document>",
        **{f"word/{kind}.xml": re.sub("^<([a-z:A-Z]+)", rf"<\1 {NS}", part) for kind, part in parts.items()},
    })  # fmt: skip


def p(*inside: str, properties: str = "") -> str:
    """Return a paragraph; an argument without markup is a run of words."""
    runs = (one if one.startswith("<") else f"<w:r><w:t>{one}</w:t></w:r>" for one in inside)
    return f"<w:p>{f'<w:pPr>{properties}</w:pPr>' if properties else ''}{''.join(runs)}</w:p>"


def cell(*blocks: str, properties: str = "") -> str:
    inside = "".join(one if one.startswith("<") else p(one) for one in blocks)
    return f"<w:tc><w:tcPr>{properties}</w:tcPr>{inside}</w:tc>"


def grid(*rows: Sequence[str]) -> str:
    return "<w:tbl>" + "".join(f"<w:tr>{''.join(row)}</w:tr>" for row in rows) + "</w:tbl>"


def equation(inside: str) -> str:
    return f"<m:oMath>{inside}</m:oMath>"


def mt(text: str) -> str:
    return f"<m:r><m:t>{text}</m:t></m:r>"


def style(name: str, inside: str = "", based: str = "", styleid: str = "") -> str:
    below = f'<w:basedOn w:val="{based}"/>' if based else ""
    return (
        f'<w:style w:type="paragraph" w:styleId="{styleid or name}"><w:name w:val="{name}"/>{below}'
        f"<w:pPr>{inside}</w:pPr></w:style>"
    )


def styled(name: str) -> str:
    return f'<w:pStyle w:val="{name}"/>'


def headings() -> bytes:
    """Headings by style, by a style based on one, by a localised name, by outline level; numbers as Word counts."""
    number = "<w:numPr><w:ilvl w:val='{}'/><w:numId w:val='{}'/></w:numPr>"
    styles = "<w:styles>" + "".join((
        style("heading 1", number.format(0, 1), styleid="H1"), style("heading 2", "<w:numPr><w:numId w:val='1'/></w:numPr>", styleid="H2"),
        style("Clause", based="H2"), style("Überschrift 3"), style("标题 4"), style("Chapter", '<w:outlineLvl w:val="0"/>'),
        style("HTML Preformatted", styleid="Pre"), style("Circle", based="Circle"), style("Title"),
    )) + "</w:styles>"  # fmt: skip
    levels = '<w:lvl w:ilvl="0"><w:pStyle w:val="H1"/><w:lvlText w:val="%1"/></w:lvl>' + (
        '<w:lvl w:ilvl="1"><w:pStyle w:val="H2"/><w:lvlText w:val="%1.%2"/></w:lvl>'
    )
    form = '<w:lvl w:ilvl="0"><w:start w:val="{}"/><w:numFmt w:val="{}"/><w:lvlText w:val="{}"/></w:lvl>'
    numbering = "<w:numbering>" + "".join(
        f'<w:abstractNum w:abstractNumId="{n}">{one}</w:abstractNum>' for n, one in enumerate((
            levels, form.format(1, "bullet", "·"), form.format(44, "upperRoman", "§ %1"), form.format(3, "chineseCounting", "第%1条"),
        ))
    ) + "".join(
        f'<w:num w:numId="{n + 1}"><w:abstractNumId w:val="{n}"/></w:num>' for n in range(4)
    ) + '<w:num w:numId="9"><w:abstractNumId w:val="3"/><w:lvlOverride w:ilvl="0"><w:startOverride w:val="1"/></w:lvlOverride></w:num>' + "</w:numbering>"  # fmt: skip
    body = "".join((
        p("Handbook", properties=styled("Title")), p("Scope", properties=styled("H1")),
        p("Sites", properties=styled("H2")), p("Vehicles", properties=styled("Clause")),
        p("Duties", properties=styled("H1")), p("Nights", properties=styled("H2")),
        p("Kühlung", properties=styled("Überschrift 3")), p("制冷", properties=styled("标题 4")),
        p("Annex", properties=styled("Chapter")), p("By itself", properties='<w:outlineLvl w:val="2"/>'),
        p("Body text", properties='<w:outlineLvl w:val="9"/>'), p("Long " * 60, properties='<w:outlineLvl w:val="1"/>'),
        p("x = 1", properties=styled("Pre")), p("Round", properties=styled("Circle")),
        p("a point", properties=number.format(0, 2)), p("one", properties=number.format(0, 3)),
        p("甲", properties=number.format(0, 4)), p("乙", properties=number.format(0, 9)), p("丙", properties=number.format(0, 4)),
    ))  # fmt: skip
    return word(body, styles=styles, numbering=numbering)


HEADINGS: tuple[Expected, ...] = (
    "h1 Handbook", "h1 1 Scope", "h2 1.1 Sites", "h2 1.2 Vehicles", "h1 2 Duties", "h2 2.1 Nights", "h3 Kühlung", "h4 制冷",
    "h1 Annex", "h3 By itself", "t Body text", "t " + " ".join(["Long"] * 60), "c x = 1", "t Round", "t - a point",
    "t § XLIV one", "t 第三条 甲", "t 第一条 乙", "t 第二条 丙",
)  # fmt: skip


def notes() -> bytes:
    """Notes, comments, boxes, changes, links, content controls, fields, symbols, ruby, headers set aside."""
    box = (
        "<w:r><mc:AlternateContent><mc:Choice Requires='wps'><w:drawing><wps:txbx><w:txbxContent>{0}</w:txbxContent>"
        "</wps:txbx></w:drawing></mc:Choice><mc:Fallback><w:pict><v:textbox><w:txbxContent>{0}</w:txbxContent>"
        "</v:textbox></w:pict></mc:Fallback></mc:AlternateContent></w:r>"
    ).format(p("Boxed words") + grid([cell("in"), cell("box")]))
    picture = (
        "<w:r><w:drawing><wp:inline><wp:docPr id='1' name='x' descr='{}'/></wp:inline></w:drawing></w:r>"
    )
    body = "".join((
        p("Rent is due", '<w:r><w:footnoteReference w:id="2"/></w:r>', " monthly", '<w:r><w:endnoteReference w:id="2"/></w:r>'),
        p("Pay by card", '<w:r><w:commentReference w:id="7"/></w:r>'), p("Beside it", box, properties=""),
        p("Keep ", "<w:ins><w:r><w:t>new </w:t></w:r></w:ins>", "<w:del><w:r><w:delText>old</w:delText></w:r></w:del>",
          "<w:moveFrom><w:r><w:t>gone</w:t></w:r></w:moveFrom>", "<w:moveTo><w:r><w:t>moved</w:t></w:r></w:moveTo>"),
        p("See ", '<w:hyperlink r:id="none"><w:r><w:t>our page</w:t></w:r></w:hyperlink>'),
        "<w:sdt><w:sdtPr><w:alias w:val='no'/></w:sdtPr><w:sdtContent>" + p("In control ", "<w:sdt><w:sdtContent><w:r><w:t>twice</w:t></w:r></w:sdtContent></w:sdt>") + "</w:sdtContent></w:sdt>",
        p('<w:r><w:fldChar w:fldCharType="begin"/><w:instrText>PAGE</w:instrText><w:t>12</w:t></w:r>', "<w:r><w:tab/><w:noBreakHyphen/></w:r>",
          '<w:r><w:sym w:font="Symbol" w:char="00B5"/><w:sym w:font="Wingdings" w:char="F0E0"/></w:r>'),
        p("<w:r><w:ruby><w:rt><w:r><w:t>hàn</w:t></w:r></w:rt><w:rubyBase><w:r><w:t>汉</w:t></w:r></w:rubyBase></w:ruby></w:r>"),
        p(picture.format("A duck on a lake"), picture.format("C:\\pictures\\duck.png")), p("Last"), '<w:altChunk r:id="x"/>',
        "<w:sectPr><w:headerReference r:id='header'/></w:sectPr>",
    ))  # fmt: skip
    return word(
        body, header=f"<w:hdr>{p('Secret header')}</w:hdr>",
        footnotes=f'<w:footnotes><w:footnote w:id="2">{p("Within five days.")}</w:footnote></w:footnotes>',
        endnotes=f'<w:endnotes><w:endnote w:id="2">{p("Or weekly,")}{p("if agreed.")}</w:endnote></w:endnotes>',
        comments=f'<w:comments><w:comment w:id="7" w:author="Anna Berg">{p("Cash too?")}</w:comment></w:comments>',
    )  # fmt: skip


NOTES: tuple[Expected, ...] = (
    "t Rent is due[1] monthly[e1]", "t [1] Within five days.", "t [e1] Or weekly, if agreed.", "t Pay by card",
    "t Comment by Anna Berg: Cash too?", "t Beside it", "t Boxed words", (0, (("in", "box"),)), "t Keep new moved",
    "t See our page", "t In control twice", "t 12\t-µ", "t 汉", "i A duck on a lake", "t Last",
)  # fmt: skip


def tables() -> bytes:
    """Spans both ways, a header of two rows, a deleted row, a table in a cell, a frame of one cell, late starts."""
    wide, down, below = '<w:gridSpan w:val="2"/>', '<w:vMerge w:val="restart"/>', "<w:vMerge/>"
    head = "<w:trPr><w:tblHeader/></w:trPr>"
    inner = grid([cell("a"), cell("b")], [cell("c"), cell("d")])
    huge = '<w:gridSpan w:val="999999999"/>'
    return word(
        grid(
            [head, cell("Site", properties=down), cell("Cost", properties=wide)],
            [head, cell("", properties=below), cell("2024"), cell("2025")],
            [cell("Suzhou"), cell("1"), cell("2")],
            ["<w:trPr><w:del/></w:trPr>", cell("Gone"), cell("8"), cell("9")],
        )
        + p("between")
        + grid(
            [cell("plain"), cell("x", inner)], ['<w:trPr><w:gridBefore w:val="1"/></w:trPr>', cell("late")]
        )
        + grid([cell(p("Framed", properties='<w:outlineLvl w:val="0"/>'), inner)])
        + grid([cell("k", properties=huge), cell("v")])
    )


TABLES: tuple[Expected, ...] = (
    (2, (("Site", "Cost", ""), ("Site", "2024", "2025"), ("Suzhou", "1", "2"))), "t between",
    (1, (("plain", "x a, b; c, d"), ("", "late"))), "h1 Framed", (1, (("a", "b"), ("c", "d"))),
    (0, (("k", *[""] * 62, "v"),)),
)  # fmt: skip


def equations() -> bytes:
    e, sub, sup = "<m:e>{}</m:e>".format, "<m:sub>{}</m:sub>".format, "<m:sup>{}</m:sup>".format
    half = f"<m:f><m:num>{mt('a+b')}</m:num><m:den>{mt('2')}</m:den></m:f>"
    root = f"<m:rad><m:deg/>{e(mt('x'))}</m:rad>"
    total = (
        f"<m:nary><m:naryPr><m:chr m:val='∑'/></m:naryPr>{sub(mt('i=1'))}{sup(mt('n'))}{e(mt('i'))}</m:nary>"
    )
    power = f"<m:sSup>{e(mt('x'))}{sup(mt('2'))}</m:sSup>"
    held = f"<m:d><m:dPr><m:begChr m:val='['/><m:endChr m:val=']'/></m:dPr>{e(mt('y'))}</m:d>"
    limit = f"<m:func><m:fName><m:limLow>{e(mt('lim'))}<m:lim>{mt('x→0')}</m:lim></m:limLow></m:fName>{e(mt('f'))}</m:func>"
    matrix = "<m:m>" + f"<m:mr>{e(mt('1'))}{e(mt('0'))}</m:mr><m:mr>{e(mt('0'))}{e(mt('1'))}</m:mr></m:m>"
    return word(
        p("Area ", equation(half + mt("=") + root))
        + p(f"<m:oMathPara>{equation(total + mt('=') + power + held)}</m:oMathPara>")
        + p(equation(limit + mt("=") + matrix))
    )


EQUATIONS: tuple[Expected, ...] = (
    "t Area (a+b)/2=√x", "f ∑_(i=1)^n i=x^2[y]", "f lim_(x→0) f=1, 0; 0, 1",
)  # fmt: skip

CHART = """<c:chartSpace><c:chart><c:title><c:tx><c:rich><a:p><a:r><a:t>Ducks</a:t></a:r></a:p></c:rich></c:tx></c:title>
<c:plotArea><c:barChart><c:ser><c:tx><c:strRef><c:strCache><c:pt idx="0"><c:v>Wild</c:v></c:pt></c:strCache></c:strRef></c:tx>
<c:cat><c:numRef><c:numCache><c:formatCode>yyyy-mm-dd</c:formatCode><c:pt idx="0"><c:v>45000</c:v></c:pt>
<c:pt idx="1"><c:v>45001</c:v></c:pt></c:numCache></c:numRef></c:cat><c:val><c:numRef><c:numCache>
<c:formatCode>0%</c:formatCode><c:pt idx="0"><c:v>0.25</c:v></c:pt><c:pt idx="1"><c:v>0.5</c:v></c:pt></c:numCache>
</c:numRef></c:val></c:ser></c:barChart></c:plotArea></c:chart></c:chartSpace>"""
DIAGRAM = (
    "<dgm:dataModel><dgm:ptLst><dgm:pt><dgm:t><a:p><a:r><a:t>Plan</a:t></a:r></a:p></dgm:t></dgm:pt>"
    + (
        "<dgm:pt/><dgm:pt><dgm:t><a:p><a:r><a:t>Do</a:t></a:r></a:p></dgm:t></dgm:pt></dgm:ptLst></dgm:dataModel>"
    )
)


def drawings() -> bytes:
    held = "<w:r><w:drawing><wp:inline><a:graphic><a:graphicData>{}</a:graphicData></a:graphic></wp:inline></w:drawing></w:r>"
    return word(
        p(held.format('<c:chart r:id="chart"/>'), held.format('<dgm:relIds r:dm="diagramData"/>'), "Words"),
        chart=CHART, diagramData=DIAGRAM,
    )  # fmt: skip


DRAWINGS: tuple[Expected, ...] = (
    "t Words", "t Ducks", (1, (("", "Wild"), ("2023-03-15", "25%"), ("2023-03-16", "50%"))), "t - Plan\n- Do",
)  # fmt: skip


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
    "h1 Cold chain", "t - Sensors", "t - Gateways", "t left", "t right", "t grouped", "t Speaker notes: Say hello.\nSmile.",
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


ODP: tuple[Expected, ...] = ("h1 Cold chain", "t Body", "t Speaker notes: Smile.")


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


CASES = (
    Case("headings.docx", headings, HEADINGS),
    Case("notes.docx", notes, NOTES, ("Tracked changes", "altChunk")),
    Case("tables.docx", tables, TABLES),
    Case("equations.docx", equations, EQUATIONS),
    Case("drawings.docx", drawings, DRAWINGS),
    Case("strict.docx", lambda: strict(drawings()), DRAWINGS),
    Case("macros.docm", lambda: word(p("Words"), "application/vnd.ms-word.document.macroEnabled.main+xml"), ("t Words",)),
    Case("letter.dotx", lambda: word(p("Words"), MAIN.replace("document.main", "template.main")), ("t Words",)),
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
    media = detect(data, name)
    module, _, function = PARSERS[media].partition(":")
    document = Document(id="d", source=name, version="1", media=media)
    return list(getattr(importlib.import_module(module), function)(data, document))


def shapes(elements: Sequence[Element]) -> tuple[Expected, ...]:
    """Return elements in the notation of expectations."""
    return tuple(
        (one.table.header, one.table.rows) if one.table else f"{one.kind[0]}{one.level or ''} {one.text}"
        for one in elements
    )
