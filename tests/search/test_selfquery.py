"""Filters out of a question's words, only where such documents exist, and never hiding what they should not."""

from __future__ import annotations

from pathlib import Path

import pytest

from lyceum.core.types import Document, Query
from lyceum.search.selfquery import SelfQuery, meant
from tests.toys import Home, document, run

SHELF = [
    Document(id=name, source=f"files/{name}", version="1", title=title, media=name.rsplit(".", 1)[-1])
    for name, title in (
        ("travel-policy.docx", "Travel policy"), ("annual-report-2023.pdf", "Annual report 2023"),
        ("annual-report-2022.pdf", "Annual report 2022"), ("costs.xlsx", "Costs"), ("年报2023.pdf", "2023年度报告"),
    )
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "filters"),
    [
        ("According to travel-policy.docx, what is the limit?", {"source": "files/travel-policy.docx"}),
        ("What does TRAVEL-POLICY.DOCX say?", {"source": "files/travel-policy.docx"}),
        ("What does other.docx say?", {}),
        ("What was the turnover in the 2022 report?", {"source": "files/annual-report-2022.pdf"}),
        ("What was the turnover in the report of 2021?", {}),
        ("2023年年度报告中的营业额是多少？", {"source": "files/年报2023.pdf"}),
        ("What is the limit in the PDF?", {"type": "pdf"}),
        ("the limit in the excel file", {"type": "xlsx"}),
        ("the limit in the slides", {}),
        ("What is the email address of Berg?", {}),
        ("In other words, what is a word?", {}),
        ("What was the turnover in 2023?", {}),
    ],
)
def test_what_is_meant(text: str, filters: dict[str, str]) -> None:
    assert meant(text, SHELF) == filters


def test_a_type_that_all_documents_have_filters_nothing() -> None:
    assert meant("the limit in the PDF", SHELF[1:3]) == {}


def test_what_passes_comes_first_and_nothing_is_hidden(tmp_path: Path) -> None:
    async def check() -> None:
        home = Home(tmp_path)
        await home.store.put([
            document("a.md", "pump pressure limit"), document("b.pdf", "pump"), document("c.md", "pump oil"),
            document("secret.pdf", "pump pressure", readers=frozenset({"boss"})),
        ])  # fmt: skip
        found = SelfQuery(home.hybrid, home.ledger)
        text = "the pump pressure limit in the pdf"
        hits = await found(Query(text=text))
        assert [hit.document.source for hit in hits] == ["b.pdf", "a.md", "c.md"]
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
        assert (await home.hybrid(Query(text=text)))[0].document.source == "a.md"
        only = await found(Query(text=text, filters={"type": "md"}))
        assert {hit.document.source for hit in only} == {"a.md", "c.md"}, "the caller's filter stands"
        named = await found(Query(text="the pump limit in secret.pdf"))
        assert "secret.pdf" not in {hit.document.source for hit in named}

    run(check())
