"""Mails: subject, head, body and attachments with the charsets that real mailers write; cited with their part."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from email.message import EmailMessage
from pathlib import Path

import pytest

from lyceum.core.errors import ParseError
from lyceum.ingest.media import detect
from tests.ingest.outlook import outlook
from tests.ingest.test_archive import WORDS, book, elements, packed, pages, warnings

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(64)


def mail(**fields: str) -> EmailMessage:
    message = EmailMessage()
    for name, text in {
        "Subject": "The offer",
        "From": "Ann <ann@a.example>",
        "To": "bob@b.example",
        **fields,
    }.items():
        message[name] = text
    return message


def attach(message: EmailMessage, name: str, data: bytes, kind: str = "application/octet-stream") -> None:
    main, _, sub = kind.partition("/")
    message.add_attachment(data, main, sub, filename=name)


def test_subject_head_body_and_attachments() -> None:
    message = mail(Date="Wed, 01 Oct 2025 10:00:00 +0200", Cc="eve@e.example")
    message.set_content("Dear Bob,\nsee below.\n\n> What does it cost?\n")
    attach(message, "offer.zip", packed(("list.xlsx", book())))
    attach(message, "a.txt", WORDS, "text/plain")
    attach(message, "locked.pdf", b"%PDF-1.4 broken")
    found = pages(message.as_bytes(), "m.eml")
    assert found[0].title == "The offer"
    said = elements(found)
    assert [(one.level, one.text) for one in said if one.kind == "heading"] == [
        (1, "The offer"), (2, "offer.zip"), (3, "list.xlsx"), (4, "Prices"), (2, "a.txt"),
    ]  # fmt: skip
    head = said[1].text.split("\n")
    assert head[0] == "From: Ann <ann@a.example>"
    assert head[-1] == "Attachments: offer.zip, a.txt, locked.pdf"
    quoted = next(one for one in said if one.text.startswith("> What"))
    assert quoted.place.line == 1 + len(head) + 1 + 4  # subject, head, an empty line, the fourth of the body
    assert "Left out (corrupt): locked.pdf" in warnings(found)
    assert {one.place.part for one in said} == {None, "offer.zip", "offer.zip/list.xlsx", "a.txt"}


def test_plain_is_preferred_and_html_is_read_where_it_stands_alone() -> None:
    both = mail()
    both.set_content("Plain words.")
    both.add_alternative("<p>Marked words.</p>", subtype="html")
    assert "Marked" not in str(elements(pages(both.as_bytes(), "m.eml")))
    alone = mail()
    alone.set_content("<meta charset=iso-8859-1><h1>价格</h1><p>四十</p>", subtype="html", charset="gb18030")
    found = elements(pages(alone.as_bytes(), "m.eml"))
    assert [(one.level, one.text) for one in found[2:]] == [(2, "价格"), (0, "四十")]


def test_pictures_of_the_text_are_ignored_and_attached_ones_are_named() -> None:
    message = mail()
    message.set_content("<p>Words <img src='cid:logo'></p>", subtype="html")
    message.add_related(PICTURE, "image", "png", cid="<logo>", filename="logo.png")
    attach(message, "photo.png", PICTURE, "image/png")
    found = pages(message.as_bytes(), "m.eml")
    assert "logo.png" not in warnings(found) + str(elements(found))
    assert "photo.png" in warnings(found)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"=?gb2312?B?sai82w==?=", "报价"), (b"=?utf-8?q?Caf=C3=A9?=", "Café"), (b"=?x-none?q?Words?=", "Words"),
        ("报价单给您的".encode("gb18030"), "报价单给您的"), ("报价".encode(), "报价"), (b"=?utf-8?b?!?=", ""),
        (b"=?utf-8?b?5oql?=\r\n =?utf-8?b?5Lu3?=", "报价"),
    ],
)  # fmt: skip
def test_subjects_as_mailers_write_them(raw: bytes, said: str) -> None:
    found = pages(b"From: a@b.example\r\nSubject: " + raw + b"\r\n\r\nWords.\r\n", "m.eml")
    assert said in found[0].title


@pytest.mark.parametrize(
    "field",
    [
        "filename*=UTF-8''%E6%8A%A5%E4%BB%B7.txt", 'filename="=?utf-8?b?5oql5Lu3LnR4dA==?="',
        "filename*0*=UTF-8''%E6%8A%A5; filename*1*=%E4%BB%B7.txt",
    ],
)  # fmt: skip
def test_names_of_attachments(field: str) -> None:
    raw = (
        "From: a@b.example\nSubject: s\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\n--x\n"
        f"Content-Type: application/octet-stream\nContent-Disposition: attachment; {field}\n\n"
        "The anchor weighs 40 kg.\n--x--\n"
    )
    assert elements(pages(raw.encode(), "m.eml"))[-1].place.part == "报价.txt"


def test_a_mail_inside_a_mail() -> None:
    inner = mail(Subject="Inner")
    inner.set_content("Inner words.")
    attach(inner, "a.txt", WORDS)
    outer = mail()
    outer.set_content("Outer words.")
    outer.add_attachment(inner)
    found = elements(pages(outer.as_bytes(), "m.eml"))
    assert {one.place.part for one in found} == {None, "Inner.eml", "Inner.eml/a.txt"}


def test_which_texts_are_mails() -> None:
    text = b"From: a@b.example\nTo: b@b.example\nSubject: s\n\nWords.\n"
    assert detect(text, "m.eml") == "eml"
    assert detect(text, "memo.txt") == "txt"
    assert detect(text, "") == "txt"
    assert detect(b"MIME-Version: 1.0\n" + text, "") == "eml"
    assert detect(b"Words without any field.\n", "m.eml") == "txt"


def test_outlook() -> None:
    data = outlook(
        {0x37: "The offer", 0x0C1A: "Ann", 0x0E04: "Bob; Eve", 0x340D: 0x40000, 0x3FDE: 936,
         0x1013: "<meta charset=utf-8><h1>价格</h1><p>四十</p>".encode("gb18030")},
        {0x3705: 1, 0x3707: "报价.zip", 0x3701: packed(("list.xlsx", book()))},
        {0x3705: 1, 0x3704: "A~1.TXT", 0x3701: WORDS},
        {0x3705: 1, 0x3707: "logo.png", 0x370E: "image/png", 0x3712: "logo", 0x3701: PICTURE},
        {0x3705: 5, 0x3001: "Inner"},
    )  # fmt: skip
    found = pages(data, "m.msg")
    assert found[0].title == "The offer"
    assert [(one.level, one.text) for one in elements(found) if one.kind == "heading"] == [
        (1, "The offer"), (2, "价格"), (2, "报价.zip"), (3, "list.xlsx"), (4, "Prices"), (2, "A~1.TXT"),
    ]  # fmt: skip
    assert {one.place.part for one in elements(found)} == {None, "报价.zip", "报价.zip/list.xlsx", "A~1.TXT"}
    assert "Inner was left out" in warnings(found)
    assert "logo" not in warnings(found)
    with pytest.raises(ParseError):
        pages(data[:-600], "m.msg")


def test_a_real_message_of_outlook() -> None:
    shared = os.environ.get("LYCEUM_SHARED")
    if not shared:
        pytest.skip("LYCEUM_SHARED names no folder with real files")
    path = Path(shared, "documents", "msg", "docling__msg_simple.msg")
    found = pages(path.read_bytes(), path.name)
    assert found[0].title == "Simple Email"
    assert "To: Bob Example <bob@example.com>" in elements(found)[1].text
    assert [one.text for one in elements(found)][-1] == "This is a simple email body."


def test_a_quote_names_the_file_inside_the_attachment(tmp_path: Path) -> None:
    message = mail()
    message.set_content("See the list.")
    attach(
        message, "offer.zip", packed(("list.txt", b"The Rotterdam anchor weighs 45 kg and costs 310 euros."))
    )
    (tmp_path / "m.eml").write_bytes(message.as_bytes())
    env = {**os.environ, "LYCEUM_ENCODER__KIND": "none"}

    def lyceum(*words: str) -> str:
        command = [sys.executable, "-m", "lyceum.app.cli", *words, "--home", str(tmp_path / "home")]
        return subprocess.run(command, capture_output=True, text=True, check=True, env=env).stdout

    lyceum("ingest", str(tmp_path / "m.eml"))
    found = json.loads(lyceum("ask", "How much does the Rotterdam anchor weigh?", "--json"))
    (cited,) = found["citations"][:1]
    assert "45 kg" in found["answer"]
    assert (cited["part"], cited["line"]) == ("offer.zip/list.txt", 1)
    assert "m.eml, offer.zip/list.txt, line 1" in lyceum("ask", "How much does the Rotterdam anchor weigh?")
