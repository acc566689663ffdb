"""Word files of raw XML with known answers, and the notation of answers.

An expectation is "h1 words", "t words" (text), "i words" (image), "f words" (formula), "c words" (code) or
(header rows, rows) for a table.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Sequence

Expected = str | tuple[int, tuple[tuple[str, ...], ...]]
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
