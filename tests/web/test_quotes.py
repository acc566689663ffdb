"""Where quoted words stand in a passage, and what of an answer's text becomes HTML."""

from __future__ import annotations

import pytest
from markupsafe import Markup

from lyceum.app.web import charts, prose, quotes
from lyceum.core.types import Chunk, Citation

TABLE = Chunk(
    id="c", doc_id="d", kind="table", meta={"columns": ["Part", "Price", "Note"]},
    text="| Part | Price | Note |\n| --- | --- | --- |\n| V7 | 42 |  |\n| V70 | 142 | new |",
)  # fmt: skip


def cited(number: int = 1, quote: str = "words", source: str = "https://a.example/x") -> Citation:
    return Citation(number=number, document_id="doc1", source=source, title="", quote=quote, chunk_id="c")


def link(number: int) -> Markup:
    return Markup("<a>{}</a>").format(number)


@pytest.mark.parametrize(
    ("text", "quote", "marked"),
    [
        ("It opens at seven.", "opens at seven", "opens at seven"),
        ("It opens\n at  seven (7).", "opens at seven 7", "opens\n at  seven (7"),
        ("零下二十度，保修期", "二十度保修", "二十度，保修"),
        ("İstanbul straße", "stanbul STRASSE", None),
        ("İ x", "x", "x"),
        ("It opens.", "closes", None),
        ("It opens.", "!?", None),
    ],
)
def test_a_quote_is_found_by_letters_and_digits(text: str, quote: str, marked: str | None) -> None:
    span = quotes.located(text, quote)
    assert (text[slice(*span)] if span else None) == marked
    assert "".join(quotes.cut(text, span)) == text


def test_rows_that_a_quote_touches() -> None:
    span = quotes.located(TABLE.text, "V70 | 142 | new")
    assert [(row["cells"], row["marked"]) for row in quotes.rows(TABLE, span)] == [
        (["V7", "42", ""], False), (["V70", "142", "new"], True),
    ]  # fmt: skip
    assert quotes.named(TABLE, "V7 | 42 |") == [("Part", "V7"), ("Price", "42")]
    assert quotes.named(TABLE, "nothing of it") == []


def test_marks_lead_to_what_is_cited_and_nothing_else_leads_anywhere() -> None:
    text = "One [1], two [2], **three** [x](https://a.example/x), [y](http://b.example), ![z](http://c.example/p.png)"
    made = prose.written(text, [cited()], link)
    assert made == ("<p>One <a>1</a>, two [2], <strong>three</strong> x<a>1</a>, y, z</p>\n")


def test_raw_html_is_text() -> None:
    made = prose.written("a <b onclick=x>b</b>\n\n<script>x</script>\n\n\ue0001\ue001", [cited()], link)
    assert "<b" not in made
    assert "<script" not in made
    assert "<a>" not in made
    assert "&lt;script&gt;" in made


def test_quoted_words_are_no_markdown() -> None:
    assert prose.own_words("*words* [1]", [cited(quote="*words*")])
    assert not prose.own_words("A model says so [1]", [cited()])
    assert not prose.own_words("words", [])
    assert prose.quoted("*a* <b> [1] [9]", [cited()], link) == "*a* &lt;b&gt; <a>1</a> [9]"


def test_bars_and_boxes() -> None:
    assert 'x="250.0" width="500.0"' in charts.bar(0.5, 1.0, 2.0)
    assert 'width="4.0"' in charts.bar(0.0, 0.0, 0.0)
    drawn = charts.boxes(400, 500, [(50, 440, 150, 452)])
    assert 'viewBox="0 0 400 500"' in drawn
    assert '<rect x="50" y="440" width="100" height="12"/>' in drawn
