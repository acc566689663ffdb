"""Writes examples/documents from examples/corpus/sources: one small file a source, in the format its name says.

Sources are text with front matter, Markdown-like headings, and tables with `|`; spreadsheets have `=== sheet`, mails
`=== attachment name`, archives `=== file name`, slides a `# title` each and `note:` lines. Run it in the development
environment; Chinese pictures need Debian's fonts-droid-fallback: python examples/make_corpus.py
"""

from __future__ import annotations

import datetime
import html
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from email.message import EmailMessage
from io import BytesIO
from pathlib import Path
from typing import Any

import docx
import openpyxl
import pptx
import pypdfium2
from PIL import Image, ImageDraw, ImageFont
from pptx.util import Pt
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import BaseDocTemplate, Frame, PageBreak, PageTemplate, Paragraph, Table, TableStyle

HERE = Path(__file__).parent
SOURCES, TARGET = HERE / "corpus" / "sources", HERE / "documents"
TWO_COLUMNS = {"incident-report-rotterdam.pdf", "board-minutes-2025-11.pdf"}
GB18030 = {"legacy-dispatch-notes-zh.txt", "fire-drill-report-zh.txt"}
SCANS = {"warehouse-lease-scan.pdf"}
CHINESE_FONT = "/usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf"
FIXED = datetime.datetime(2026, 1, 15, 9, 0, 0)
Block = tuple[str, Any]


def read(path: Path) -> tuple[dict[str, str], str]:
    """Return front matter and body of a source."""
    head, body = re.split(r"^---\n", path.read_text(encoding="utf-8"), maxsplit=1, flags=re.M)
    return dict(line.split(": ", 1) for line in head.strip().splitlines()), body.strip("\n")


def blocks(body: str) -> Iterator[Block]:
    r"""Yield (heading level | p | li | table | page, content) in order; `\page` starts a new page in a PDF."""
    rows: list[list[str]] = []
    for line in [*body.splitlines(), ""]:
        if line.startswith("|"):
            rows.append([cell.strip() for cell in line.strip().strip("|").split("|")])
            continue
        if rows:
            yield "table", rows
            rows = []
        if line.strip() == "\\page":
            yield "page", ""
        elif match := re.match(r"(#+) (.*)", line):
            yield f"h{len(match.group(1))}", match.group(2)
        elif match := re.match(r"[-*] (.*)", line):
            yield "li", match.group(1)
        elif line.strip():
            yield "p", line.strip()


def write_pdf(target: Path | BytesIO, meta: dict[str, str], body: str) -> None:
    """Headings by size and weight, ruled tables, one or two columns, a running footer."""
    chinese = meta["language"] == "zh"
    if chinese:
        pdfmetrics.registerFont(UnicodeCIDFont("STSong-Light"))
    font, bold = ("STSong-Light",) * 2 if chinese else ("Helvetica", "Helvetica-Bold")
    wrap = {"wordWrap": "CJK"} if chinese else {}
    styles = {
        name: ParagraphStyle(
            name, fontName=face, fontSize=size, leading=size * 1.35, spaceBefore=space, spaceAfter=3, **wrap
        )
        for name, face, size, space in (
            ("h1", bold, 18, 0), ("h2", bold, 13.5, 9), ("h3", bold, 11.5, 6), ("p", font, 10, 2),
            ("li", font, 10, 1),
        )
    }  # fmt: skip
    columns = 2 if isinstance(target, Path) and target.name in TWO_COLUMNS else 1
    small = 7 if columns == 2 else 8.5
    cell = ParagraphStyle("cell", fontName=font, fontSize=small, leading=small * 1.25, **wrap)
    head = ParagraphStyle("head", parent=cell, fontName=bold)
    margin, gap = 20 * mm, 8 * mm
    width = (A4[0] - 2 * margin - (columns - 1) * gap) / columns
    story: list[Any] = []
    for kind, content in blocks(body):
        if kind == "page":
            story.append(PageBreak())
        elif kind == "table":
            cells = [
                [Paragraph(html.escape(text), head if n == 0 else cell) for text in row]
                for n, row in enumerate(content)
            ]
            table = Table(cells, colWidths=_widths(content, width, bold, cell.fontSize), repeatRows=1)
            table.setStyle(
                TableStyle(
                    [
                        ("GRID", (0, 0), (-1, -1), 0.6, colors.black),
                        ("VALIGN", (0, 0), (-1, -1), "TOP"),
                        ("LEFTPADDING", (0, 0), (-1, -1), 2),
                        ("RIGHTPADDING", (0, 0), (-1, -1), 2),
                    ]
                )
            )
            story.append(table)
        else:
            story.append(Paragraph(html.escape(("• " if kind == "li" else "") + content), styles[kind]))

    def footer(canvas: Any, document: Any) -> None:
        canvas.setFont(font, 8)
        canvas.drawString(margin, 10 * mm, f"{meta['title']} · {document.page}")

    frames = [
        Frame(margin + n * (width + gap), 18 * mm, width, A4[1] - 36 * mm, 0, 0, 0, 0) for n in range(columns)
    ]
    made = BaseDocTemplate(
        str(target) if isinstance(target, Path) else target,
        pagesize=A4,
        title=meta["title"],
        author="Talvora Cold Chain Group",
        invariant=1,
    )
    made.addPageTemplates(PageTemplate(frames=frames, onPage=footer))
    made.build(story)


def write_scan(target: Path, meta: dict[str, str], body: str) -> None:
    """A PDF of pictures, as an office scanner makes it: grey, 200 dpi, a little askew, no text layer."""
    plain = BytesIO()
    write_pdf(plain, meta, body)
    pages = []
    for page in pypdfium2.PdfDocument(plain.getvalue()):
        picture = page.render(scale=200 / 72, grayscale=True).to_pil().convert("L")
        pages.append(picture.rotate(0.4, fillcolor=250, resample=Image.Resampling.BICUBIC))
    made = Canvas(str(target), pagesize=A4, invariant=1)
    for picture in pages:
        data = BytesIO()
        picture.save(data, "JPEG", quality=40)
        made.drawImage(ImageReader(data), 0, 0, *A4)
        made.showPage()
    made.save()


def write_png(target: Path, meta: dict[str, str], body: str) -> None:
    """A photographed form: large Chinese characters on grey paper."""
    lines = [(48 if kind == "h1" else 30, content) for kind, content in blocks(body)]
    picture = Image.new("L", (1240, 140 + sum(size * 2 for size, _ in lines)), 238)
    draw, top = ImageDraw.Draw(picture), 60
    for size, text in lines:
        left = 90.0
        for latin, other in re.findall(r"([!-~]+)|([^!-~]+)", text):
            font = ImageFont.load_default(size) if latin else ImageFont.truetype(CHINESE_FONT, size)
            draw.text((left, top + size), latin or other, 25, font, anchor="ls")
            left += draw.textlength(latin or other, font)
        top += size * 2
    picture.save(target, optimize=True)


def write_pptx(target: Path, meta: dict[str, str], body: str) -> None:
    """A slide for every `# title`: bullets in the body, a table below, notes under the slide."""
    show = pptx.Presentation()
    properties = show.core_properties
    properties.title, properties.author = meta["title"], "Talvora Cold Chain Group"
    properties.created = properties.modified = FIXED
    for number, part in enumerate(re.split(r"^# ", body, flags=re.M)[1:]):
        title, _, rest = part.partition("\n")
        slide = show.slides.add_slide(show.slide_layouts[0 if number == 0 else 1])
        slide.shapes.title.text = title.strip()
        notes = re.findall(r"^note: (.*)$", rest, re.M)
        said = []
        for kind, content in blocks(re.sub(r"^note: .*$", "", rest, flags=re.M)):
            if kind == "table":
                held = slide.shapes.add_table(
                    len(content), len(content[0]), Pt(60), Pt(150), Pt(600), Pt(24 * len(content))
                )
                for row, cells in enumerate(content):
                    for column, text in enumerate(cells):
                        held.table.cell(row, column).text = text
            else:
                said.append(content)
        slide.placeholders[1].text = "\n".join(said)
        if notes:
            slide.notes_slide.notes_text_frame.text = "\n".join(notes)
    buffer = BytesIO()
    show.save(buffer)
    _same_bytes(buffer, target)


def write_eml(target: Path, meta: dict[str, str], body: str) -> None:
    """A mail with its attachments; Chinese text in GB18030, as old mail programs send it."""
    text, *parts = re.split(r"^=== attachment (.*)\n", body, flags=re.M)
    mail = EmailMessage()
    for name in ("From", "To", "Subject"):
        mail[name] = meta[name.lower()]
    mail["Date"] = datetime.datetime.fromisoformat(meta["date"]).replace(hour=9, tzinfo=datetime.UTC)
    mail["Message-ID"] = f"<{target.stem}@talvora.example>"
    mail.set_content(text.strip() + "\n", charset="gb18030" if meta["language"] == "zh" else "utf-8")
    for name, content in zip(parts[::2], parts[1::2], strict=True):
        mail.add_attachment(content.encode(), maintype="application", subtype="octet-stream", filename=name)
    if mail.is_multipart():
        mail.set_boundary("=_talvora_0001")
    target.write_bytes(mail.as_bytes())


def write_zip(target: Path, meta: dict[str, str], body: str) -> None:
    """An archive whose members are written like files of their own."""
    parts = re.split(r"^=== file (.*)\n", body, flags=re.M)[1:]
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(target, "w") as out:
        for name, content in zip(parts[::2], parts[1::2], strict=True):
            sheet = f"=== {Path(name).stem}\n" if name.endswith(".xlsx") else ""
            WRITERS[name.rsplit(".", 1)[-1]](Path(folder) / name, meta, sheet + content.strip("\n"))
            info = zipfile.ZipInfo(name, FIXED.timetuple()[:6])
            out.writestr(info, (Path(folder) / name).read_bytes(), zipfile.ZIP_DEFLATED)


def _widths(rows: list[list[str]], width: float, font: str, size: float) -> list[float]:
    """Share the width by the columns' longest words first, so that none is broken, then by their texts."""
    columns = list(zip(*rows, strict=True))
    words = [
        max(
            pdfmetrics.stringWidth(word, font, size)
            for cell in column
            for word in [*re.findall(r"[!-~]+", cell), "数据"]
        )
        + 5
        for column in columns
    ]
    texts = [max(len(cell) for cell in column) ** 0.7 for column in columns]
    left = max(width - sum(words), 0)
    return [word + left * text / sum(texts) for word, text in zip(words, texts, strict=True)]


def write_docx(target: Path, meta: dict[str, str], body: str) -> None:
    """Heading styles, lists and grid tables."""
    document = docx.Document()
    properties = document.core_properties
    properties.title, properties.author = meta["title"], "Talvora Cold Chain Group"
    properties.created = properties.modified = FIXED
    for kind, content in blocks(body):
        if kind == "table":
            table = document.add_table(rows=0, cols=len(content[0]), style="Table Grid")
            for row in content:
                for held, text in zip(table.add_row().cells, row, strict=True):
                    held.text = text
        elif kind == "h1":
            document.add_heading(content, 0)
        elif kind.startswith("h"):
            document.add_heading(content, int(kind[1]) - 1)
        else:
            document.add_paragraph(content, style="List Bullet" if kind == "li" else None)
    buffer = BytesIO()
    document.save(buffer)
    _same_bytes(buffer, target)


def write_xlsx(target: Path, meta: dict[str, str], body: str) -> None:
    """A sheet for every `=== name`, numbers as numbers."""
    book = openpyxl.Workbook()
    book.remove(book.active)
    book.properties.title, book.properties.creator = meta["title"], "Talvora Cold Chain Group"
    book.properties.created = book.properties.modified = FIXED
    sheet: Any = None
    for line in body.splitlines():
        if line.startswith("=== "):
            sheet = book.create_sheet(line[4:].strip())
        elif line.strip():
            sheet.append([_number(cell.strip()) for cell in line.split("|")])
    buffer = BytesIO()
    book.save(buffer)
    _same_bytes(buffer, target)


def _number(text: str) -> Any:
    if re.fullmatch(r"-?(?:0|[1-9]\d*)", text):
        return int(text)
    return float(text) if re.fullmatch(r"-?\d+\.\d+", text) else text or None


def _same_bytes(buffer: BytesIO, target: Path) -> None:
    """Write an Office file again with fixed times, so that the same source gives the same bytes."""
    with zipfile.ZipFile(buffer) as made, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as out:
        for name in made.namelist():
            data = made.read(name)
            if name == "docProps/core.xml":
                data = re.sub(
                    rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", FIXED.strftime("%Y-%m-%dT%H:%M:%SZ").encode(), data
                )
            out.writestr(zipfile.ZipInfo(name, FIXED.timetuple()[:6]), data, zipfile.ZIP_DEFLATED)


def write_html(target: Path, meta: dict[str, str], body: str) -> None:
    """A page with a menu and a footer around its content."""
    parts = [
        f'<!DOCTYPE html><html lang="{meta["language"]}"><head><meta charset="utf-8"><title>{meta["title"]}</title>'
        "<style>td,th{border:1px solid}</style></head><body>",
        '<nav><a href="/">Home</a> <a href="/products">Products</a> <a href="/contact">Contact</a></nav><main>',
    ]
    for kind, content in blocks(body):
        if kind == "table":
            rows = [
                "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in row) + "</tr>"
                for tag, row in zip(["th", *["td"] * len(content)], content, strict=False)
            ]
            parts.append("<table>" + "".join(rows) + "</table>")
        else:
            parts.append(f"<{kind}>{html.escape(content)}</{kind}>")
    parts.append("</main><footer>Talvora Cold Chain Group</footer></body></html>")
    target.write_text("\n".join(parts), encoding="utf-8")


def write_csv(target: Path, meta: dict[str, str], body: str) -> None:
    """The rows as they stand, with commas."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in body.splitlines() if line.strip()
    ]
    target.write_text(
        "\n".join(",".join(f'"{c}"' if "," in c else c for c in row) for row in rows) + "\n", encoding="utf-8"
    )


def write_md(target: Path, meta: dict[str, str], body: str) -> None:
    """Markdown, with the rule that its tables need."""
    parts = []
    for kind, content in blocks(body):
        if kind == "table":
            lines = ["| " + " | ".join(row) + " |" for row in content]
            parts.append("\n".join([lines[0], "|" + " --- |" * len(content[0]), *lines[1:]]))
        else:
            mark = "- " if kind == "li" else "#" * int(kind[1]) + " " if kind[0] == "h" else ""
            parts.append(mark + content)
    target.write_text("\n\n".join(parts).replace("\n\n- ", "\n- ") + "\n", encoding="utf-8")


def write_txt(target: Path, meta: dict[str, str], body: str) -> None:
    """Plain text; two Chinese files in GB18030, as old programs write them."""
    parts = []
    for kind, content in blocks(body):
        if kind == "table":
            parts.append("\n".join("  ".join(row) for row in content))
        else:
            parts.append(("- " if kind == "li" else "") + content)
    text = "\n\n".join(parts) + "\n"
    target.write_bytes(text.encode("gb18030" if target.name in GB18030 else "utf-8"))


WRITERS = {
    "pdf": write_pdf, "docx": write_docx, "xlsx": write_xlsx, "html": write_html,
    "csv": write_csv, "md": write_md, "txt": write_txt, "png": write_png, "pptx": write_pptx,
    "eml": write_eml, "zip": write_zip,
}  # fmt: skip


def main() -> None:
    """Write every document anew."""
    shutil.rmtree(TARGET, ignore_errors=True)
    TARGET.mkdir()
    for source in sorted(SOURCES.glob("*.txt")):
        meta, body = read(source)
        target = TARGET / source.name.removesuffix(".txt")
        writer = write_scan if target.name in SCANS else WRITERS[target.suffix[1:]]
        writer(target, meta, body)
        print(f"{target.stat().st_size:7}  {target.name}")


if __name__ == "__main__":
    main()
