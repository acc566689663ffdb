"""Every parser on real files: what is read, where it stands, and the promises that hold for all formats."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from lyceum.core.types import Document, Element
from lyceum.ingest.media import PARSERS, detect
from lyceum.ingest.splitter import Structured

DOCUMENTS = Path(__file__).parents[2] / "examples" / "documents"
ALL = sorted(DOCUMENTS.iterdir())


def parsed(data: bytes, name: str) -> list[Element]:
    media = detect(data, name)
    module, _, function = PARSERS[media].partition(":")
    parse = getattr(importlib.import_module(module), function)
    document = Document(id="d", source=name, version="1", media=media)
    return [element for page in parse(data, document) for element in page.elements]


def read(name: str) -> list[Element]:
    return parsed((DOCUMENTS / name).read_bytes(), name)


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.name)
def test_pieces_lie_inside_in_order_and_apart(path: Path) -> None:
    elements = parsed(path.read_bytes(), path.name)
    assert elements
    chunks = Structured()(Document(id="d", source=path.name, version="1"), elements)
    assert len({chunk.id for chunk in chunks}) == len(chunks)
    for holder in (*elements, *chunks):
        assert holder.text.strip()
        assert holder.pieces
        end = 0
        for piece in holder.pieces:
            assert end <= piece.start <= piece.end <= len(holder.text)
            end = piece.end


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.name)
def test_no_words_are_lost_between_elements_and_chunks(path: Path) -> None:
    elements = parsed(path.read_bytes(), path.name)
    chunks = Structured()(Document(id="d", source=path.name, version="1"), elements)
    held = "".join([chunk.text for chunk in chunks] + ["".join(chunk.path) for chunk in chunks])
    held = held.replace(" ", "").replace("\n", "")
    for element in elements:
        if element.table is None:
            for word in element.text.split():
                assert word in held
        else:
            for row in element.table.rows:
                assert all(cell.replace("|", "\\|").replace(" ", "") in held for cell in row)


def test_pdf_headings_tables_and_boxes() -> None:
    elements = read("sensor-product-guide.pdf")
    headings = [(element.level, element.text) for element in elements if element.kind == "heading"]
    assert headings[0] == (1, "Talvora Sensor and Gateway Product Guide")
    assert (2, "2 Sensor data") in headings
    table = next(element for element in elements if element.table)
    assert table.table is not None
    assert table.table.rows[0][:3] == ("Model", "Measuring range", "Accuracy")
    row = next(row for row in table.table.rows if row[0] == "FrostTag F4")
    assert "24 months" in row
    for element in elements:
        assert element.place.page
        assert element.place.box
        left, top, right, bottom = element.place.box
        assert 0 <= left < right <= 596
        assert 0 <= top < bottom <= 843
    assert not any("Product Guide · " in element.text for element in elements), "the footer is set aside"


def test_pdf_columns_are_read_one_after_the_other() -> None:
    text = "\n".join(element.text for element in read("incident-report-rotterdam.pdf"))
    source = DOCUMENTS.parent / "corpus" / "sources" / "incident-report-rotterdam.pdf.txt"
    wanted = [line for line in source.read_text(encoding="utf-8").splitlines() if line.startswith("## ")]
    places = [text.index(line[3:]) for line in wanted]
    assert places == sorted(places)


def test_chinese_pdf() -> None:
    elements = read("employee-handbook-zh.pdf")
    assert "试用期为三个月" in "".join(element.text for element in elements)
    assert any(element.kind == "heading" and element.text.startswith("第一章") for element in elements)


def test_docx() -> None:
    elements = read("travel-policy-v2.docx")
    assert any(
        element.kind == "heading" and element.text == "1.1 Tool" and element.level == 2
        for element in elements
    )
    warranty = read("warranty-terms-zh.docx")
    table = next(element.table for element in warranty if element.table)
    assert table.rows[0][0] == "型号"


def test_xlsx_rows_know_their_sheet() -> None:
    elements = read("price-list-2026.xlsx")
    table = next(element for element in elements if element.table and "FrostTag F4" in element.text)
    place = next(
        p for row, p in zip(table.table.rows, table.table.places, strict=True) if row[0] == "TS-1040"
    )  # type: ignore[union-attr]
    assert (place.sheet, place.row) == ("Sensors", 4)


def test_gb18030_and_csv_and_html() -> None:
    assert "消防演练" in read("fire-drill-report-zh.txt")[0].text
    table = read("shipments-2025-q4.csv")[0].table
    assert table is not None
    assert table.header == 1
    assert table.places[1].row == 2
    html = read("support-faq.html")
    assert not any(element.text == "Products" for element in html), "the menu is left out"
    assert all(element.place.xpath for element in html)


def test_html_spans_lists_and_depth() -> None:
    page = b"""<html><head><meta charset="gb2312"></head><body><h1>A</h1>loose<ul><li>one</li><li>two</li></ul>
    <table><tr><th>k</th><th colspan=2>v</th></tr><tr><td rowspan=2>x</td><td>1</td><td>2</td></tr>
    <tr><td>3</td><td>4</td></tr></table><pre>a = 1\nb</pre><script>no()</script></body></html>"""
    elements = parsed(page, "a.html")
    assert [element.text for element in elements if element.kind == "text"] == ["loose", "- one", "- two"]
    table = next(element.table for element in elements if element.table)
    assert table.rows == (("k", "v", "v"), ("x", "1", "2"), ("x", "3", "4"))
    assert [element.text for element in elements if element.kind == "code"] == ["a = 1\nb"]
    with pytest.raises(Exception, match="nested"):
        parsed(b"<html>" + b"<div>" * 5000, "deep.html")


def test_markdown_and_code() -> None:
    text = b"---\ntitle: x\n---\n# Top\n\nWords [link](http://x) here.\n\n1. one\n2. two\n\n"
    text += b"```\ncode\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
    elements = parsed(text, "a.md")
    assert [(e.kind, e.text.split("\n")[0], e.place.line) for e in elements] == [
        ("heading", "Top", 4),
        ("text", "Words link here.", 6),
        ("text", "1. one", 8),
        ("text", "2. two", 9),
        ("code", "code", 12),
        ("table", "| a | b |", 15),
    ]
    assert parsed(b"def f():\n    pass\n", "a.py")[0].kind == "code"


def test_plain_headings_only_where_obvious() -> None:
    elements = parsed(
        "Title\n\n1. Scope\n\nSome text here.\nMore.\n\n第二章 维护\n\n正文。\n".encode(), "a.txt"
    )
    assert [e.text for e in elements if e.kind == "heading"] == ["Title", "1. Scope", "第二章 维护"]


def test_long_tables_repeat_their_header() -> None:
    rows = b"name,value\n" + b"".join(b"item%d,%d\n" % (n, n) for n in range(200))
    elements = parsed(rows, "a.csv")
    chunks = Structured(60)(Document(id="d", source="a.csv", version="1"), elements)
    assert len(chunks) > 5
    assert all(chunk.text.startswith("| name | value |\n| item") for chunk in chunks)
    last = chunks[-1]
    assert last.text[last.pieces[-1].start :] == "| item199 | 199 |"
    assert last.pieces[-1].place.row == 201


def test_long_sentences_are_cut() -> None:
    text = ("word " * 2000 + "\n\n" + "字" * 3000).encode()
    chunks = Structured(100)(Document(id="d", source="a", version="1"), parsed(text, "a.txt"))
    assert "".join(c.text for c in chunks).count("word") == 2000
    assert "".join(c.text for c in chunks).count("字") == 3000


@pytest.mark.parametrize(
    ("data", "name", "media"),
    [
        (b'<?xml version="1.0"?><list><table id="1"/></list>', "regions.xml", "code"),
        (b"<!DOCTYPE html><html><body>x</body></html>", "page.xml", "html"),
        (b"<!DOCTYPE html><html><body>x</body></html>", "page.txt", "html"),
        (b"import x  # <html>", "x.py", "code"),
        (b"plain words", "note.txt", "txt"),
    ],
)
def test_markup_is_told_from_code(data: bytes, name: str, media: str) -> None:
    assert detect(data, name) == media
