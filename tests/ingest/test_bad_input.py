"""Files that are broken, misnamed, locked or too large: each gets its code and a hint and stops nothing else."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pytest
from docx import Document as Word
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.pdfgen import canvas

from lyceum.app.session import opened
from lyceum.app.settings import load
from lyceum.core.types import Document
from lyceum.ingest.pipeline import Job, Outcome
from lyceum.ingest.xlsx import parse
from tests.toys import run

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
LIMITED = """
import resource, sys
from lyceum.app.cli import main
resource.setrlimit(resource.RLIMIT_AS, (2_000_000_000, {hard}))
sys.exit(main(sys.argv[1:]))
"""


def pdf(text: str = "The anchor weighs 40 kg.", lock: StandardEncryption | None = None) -> bytes:
    made = io.BytesIO()
    page = canvas.Canvas(made, encrypt=lock)
    page.drawString(72, 700, text)
    page.save()
    return made.getvalue()


def saved(save: Callable[[io.BytesIO], object]) -> bytes:
    made = io.BytesIO()
    save(made)
    return made.getvalue()


def docx() -> bytes:
    word = Word()
    word.add_paragraph("The anchor weighs 40 kg. " * 200)
    return saved(word.save)


def xlsx(rows: int = 100) -> bytes:
    book = openpyxl.Workbook()
    assert book.active is not None
    for row in range(rows):
        book.active.append([f"anchor {row}", row, f"chain {row}"])
    return saved(book.save)


def packed(*names: str, text: str = "<a/>") -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name in names:
            archive.writestr(name, text)
    return made.getvalue()


def ole(stream: str) -> bytes:
    return OLE + bytes(600) + stream.encode("utf-16-le") + bytes(100)


BAD: dict[str, tuple[str, str, Callable[[], bytes]]] = {
    "nothing.txt": ("empty", "content", lambda: b""),
    "blank.txt": ("empty", "content", lambda: b" \r\n\t\n"),
    "mark.txt": ("empty", "content", lambda: b"\xef\xbb\xbf\n"),
    "wide-blank.txt": ("empty", "text", lambda: "\u3000\u00a0\n".encode()),
    "unseen.txt": ("empty", "text", lambda: "\u200b\u200b\n".encode()),
    "zeros.dat": ("empty", "content", lambda: bytes(4096)),
    "no-words.html": ("empty", "text", lambda: b"<html><body><p> </p></body></html>"),
    "no-words.pdf": ("empty", "text", lambda: pdf("")),
    "no-words.docx": ("empty", "text", lambda: saved(Word().save)),
    "cut.pdf": ("corrupt", "copy", lambda: pdf()[:300]),
    "cut.docx": ("corrupt", "again", lambda: docx()[:-400]),
    "cut.xlsx": ("corrupt", "again", lambda: xlsx()[: len(xlsx()) // 2]),
    "head.docx": ("corrupt", "again", lambda: b"PK\x03\x04" + b"words " * 50),
    "hollow.docx": ("corrupt", "again", lambda: packed("word/document.xml", "[Content_Types].xml")),
    "hollow.xlsx": ("corrupt", "again", lambda: packed("xl/workbook.xml", text="<workbook")),
    "locked.pdf": ("password", "password", lambda: pdf(lock=StandardEncryption("sesame", "owner"))),
    "locked.docx": ("password", "password", lambda: ole("EncryptedPackage")),
    "picture.pdf": ("corrupt", "copy", lambda: b"\x89PNG\r\n\x1a\n" + bytes(64)),
    "words.pdf": ("mismatch", "name", lambda: b"Just some words."),
    "words.xlsx": ("mismatch", "name", lambda: b"a,b\n1,2\n"),
    "strange.bin": ("unsupported", "Convert", lambda: bytes(range(1, 32)) * 100),
    "zero-bytes.txt": ("unsupported", "Convert", lambda: b"Some words\x00 with zero bytes\x00."),
    "old.doc": ("unsupported", "DOCX", lambda: ole("WordDocument")),
    "old.xls": ("unsupported", "XLSX", lambda: ole("Workbook")),
    "old.ppt": ("unsupported", "PPTX", lambda: ole("PowerPoint Document")),
    "empty.zip": ("empty", "text", packed),
    "hollow.pptx": ("corrupt", "again", lambda: packed("ppt/presentation.xml", "[Content_Types].xml")),
    "hollow.odt": ("corrupt", "again", lambda: packed("mimetype", text="application/vnd.oasis.opendocument.text")),
    "book.epub": ("corrupt", "copy", lambda: packed("META-INF/container.xml", "text.html")),
    "no-words.rtf": ("empty", "text", lambda: b"{\\rtf1\\pard \\par}"),
    "words.rtf": ("mismatch", "name", lambda: b"Just some words."),
}  # fmt: skip


def ingested(home: Path, *jobs: Job, **environment: str) -> dict[str, Outcome]:
    async def work() -> dict[str, Outcome]:
        async with opened(load(str(home), environment | {"LYCEUM_MODELS": str(home / "models")})) as platform:
            return {outcome.source: outcome for outcome in await platform.ingest(jobs)}

    return run(work())


def job(path: Path) -> Job:
    return Job(path=path, source=path.name, name=path.name)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """Every bad file in one folder, with a good one after each kind."""
    folder = tmp_path_factory.mktemp("bad")
    for name, (_, _, content) in BAD.items():
        (folder / name).write_bytes(content())
    (folder / "good.txt").write_text("The anchor weighs 40 kg.")
    (folder / "zz-good.csv").write_text("part,weight\nanchor,40 kg\n")
    (folder / "report.txt").write_bytes(pdf())
    (folder / "readable.pdf").write_bytes(pdf(lock=StandardEncryption("", "owner")))
    return ingested(folder.parent / "home", *(job(path) for path in sorted(folder.iterdir())))


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_has_its_code_and_a_hint(outcomes: dict[str, Outcome], name: str) -> None:
    code, hint, _ = BAD[name]
    found = outcomes[name]
    assert (found.status, found.code) == ("failed", code)
    assert name in found.message
    assert hint in found.hint


@pytest.mark.parametrize("name", ["good.txt", "zz-good.csv", "report.txt", "readable.pdf"])
def test_good_files_beside_bad_ones_are_read(outcomes: dict[str, Outcome], name: str) -> None:
    assert (outcomes[name].status, outcomes[name].chunks) == ("added", 1)


def test_paths_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "good.txt").write_text("The anchor weighs 40 kg.")
    (tmp_path / "folder").mkdir()
    locked = tmp_path / "locked.txt"
    locked.write_text("x")
    locked.chmod(0)
    names = ("absent.txt", "folder", "locked.txt", "good.txt")
    found = ingested(tmp_path / "home", *(job(tmp_path / name) for name in names))
    for name in names[: 2 if os.geteuid() == 0 else 3]:
        assert (found[name].status, found[name].code) == ("failed", "unreadable")
        assert "permissions" in found[name].hint
    assert found["good.txt"].status == "added"


def test_a_name_that_is_no_text_is_not_called_a_crash(tmp_path: Path) -> None:
    path = Path(os.fsdecode(bytes(tmp_path) + b"/\xff.txt"))
    path.write_text("The anchor weighs 40 kg.")
    (outcome,) = ingested(tmp_path / "home", job(path)).values()
    assert (outcome.status, outcome.code) in (("added", ""), ("failed", "unreadable"))


def with_little_memory(home: Path, folder: Path, hard: str) -> subprocess.CompletedProcess[str]:
    """Ingest in a process that may use two gigabytes."""
    return subprocess.run(
        [sys.executable, "-c", LIMITED.format(hard=hard), "ingest", "--home", str(home), str(folder)], timeout=60,
        capture_output=True, text=True, check=False, env={**os.environ, "LYCEUM_MODELS": str(home)},
    )  # fmt: skip


def test_a_file_over_the_limit_is_not_loaded_first(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "good.txt").write_text("The anchor weighs 40 kg.")
    with (folder / "huge.txt").open("wb") as file:
        file.truncate(3_000_000_000)  # a hole: it takes no room on the disk
    done = with_little_memory(tmp_path / "home", folder, "resource.RLIM_INFINITY")
    assert (done.returncode, "Traceback" in done.stderr) == (4, False), done.stderr[-300:]
    assert "1 added, 1 failed" in done.stdout
    assert "reader.max_mb" in done.stderr


def test_a_process_that_may_use_less_memory_than_a_worker(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "good.txt").write_text("The anchor weighs 40 kg.")
    done = with_little_memory(tmp_path / "home", tmp_path / "files", "2_000_000_000")
    assert done.returncode == 0, done.stderr


def test_a_long_sheet_is_read() -> None:
    pages = list(parse(xlsx(3_000), Document(id="d", source="long.xlsx", version="1")))
    (table,) = [element.table for element in pages[0].elements if element.table]
    assert table.rows[-1] == ("anchor 2999", "2999", "chain 2999")
