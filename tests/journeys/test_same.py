"""One question by the page, by HTTP and by the command line: equal hits, scores and answer."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from lyceum.app.cli import main
from lyceum.app.server import create
from lyceum.app.settings import load
from tests.app.served import told

DOCUMENTS = Path(__file__).parents[2] / "examples" / "documents"
FILES = ("travel-policy-v1.docx", "travel-policy-v2.docx", "sensor-product-guide.pdf", "price-list-2026.xlsx",
         "employee-handbook-zh.pdf", "support-faq.html")  # fmt: skip
QUESTIONS = (
    "Who is the product manager for the whole range?",
    "What is the price of the PolarNode P5?",
    "工龄满十年的员工年休假有几天？",
    "Who painted the Sistine Chapel?",
)
NONE = ("", "")
VARIES = ("seconds", "trace_id")
READS = {"accept": "text/html"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("same") / "home"
    assert main(["ingest", "--home", str(folder), "--json", *[str(DOCUMENTS / name) for name in FILES]]) == 0
    return folder


@pytest.fixture(scope="module")
def client(home: Path) -> Iterator[TestClient]:
    with TestClient(create(load(str(home), {})), base_url="http://127.0.0.1") as opened:
        yield opened


def steady(answer: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value for name, value in answer.items() if name not in (*VARIES, "question", "trace", "hits")
    }


def shown(page: str) -> dict[str, Any]:
    """Return the answer that a page holds for its own forms: the whole of it, as JSON."""
    found: dict[str, Any] = json.loads(unescape(re.findall(r'name="told" value="([^"]*)"', page)[0]))
    return found


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_same_answer_wherever_it_is_asked(home: Path, client: TestClient, question: str) -> None:
    code, by_command = told("ask", "--explain", question, "--home", str(home))
    assert code == (3 if by_command["abstained"] else 0)
    by_http = client.post("/api/answer", json={"question": question}).json()
    by_page = shown(client.get("/", params={"q": question}, headers=READS).text)
    with client.stream("POST", "/ask", json={"question": question}) as stream:
        last = stream.read().decode().strip().split("\n\n")[-1]
    streamed = shown(json.loads(last.partition("data: ")[2])["html"])
    assert steady(by_command) == steady(by_http)
    assert steady(by_page) == steady(by_http)
    assert steady(streamed) == steady(by_http)
    assert by_http["abstained"] == (question == QUESTIONS[3]), "both kinds are compared"


@pytest.fixture(scope="module")
def plain(home: Path) -> Iterator[tuple[Path, TestClient]]:
    """The same documents asked in one wording alone, so that each passage has one rank and score at a stage."""
    copy = home.parent / "plain"
    shutil.copytree(home, copy)
    (copy / "lyceum.toml").write_text('[synonyms]\nkind = "none"\n', "utf-8")
    with TestClient(create(load(str(copy), {})), base_url="http://127.0.0.1") as opened:
        yield copy, opened


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_same_hits_ranks_and_scores(plain: tuple[Path, TestClient], question: str) -> None:
    """What X-ray shows as offered to the reader are the hits of the search, as each part of it found them."""
    home, client = plain
    asked = 15  # as many as the answerer reads
    _, by_command = told("search", "--top-k", str(asked), question, "--home", str(home))
    by_http = client.post("/api/search", json={"question": question, "top_k": asked}).json()
    assert by_command == by_http
    page = unescape(client.get("/xray", params={"q": question}, headers=READS).text)
    assert page.partition('class="asked"')[2].partition("</ul>")[0].count("<li>") == 1
    rows = page.partition('class="ranks"')[2].partition("</table>")[0].split('<th scope="row">')[1:]
    by_page = {
        re.findall(r"chunk=([0-9a-f]+)", row)[0]: list(map(_cell, row.split("<td>")[1:])) for row in rows
    }
    assert len(by_http) == asked
    for rank, hit in enumerate(by_http, 1):
        lexical, dense, _, offered, _ = by_page[hit["chunk_id"]]
        assert offered == (str(rank), f"{hit['score']:.3f}")
        found = {
            part["part"]: (str(part["rank"]), f"{part['score']:.3f}") for part in hit["by"] if part["rank"]
        }
        assert (lexical, dense) == (found.get("bm25", NONE), found.get("vectors", NONE))
    answer = client.post("/api/answer", json={"question": question}).json()
    assert (answer["answer"] or answer["reason"]) in page


def _cell(html: str) -> tuple[str, str]:
    rank, score = re.match(r"(\d*)", html), re.findall(r"<small>([-\d.]+)</small>", html)
    return (rank[1] if rank else "", score[0] if score else "")
