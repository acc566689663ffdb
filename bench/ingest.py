"""What ingesting costs in CPU: pages and megabytes a CPU second, beside LlamaIndex and Haystack on the same files.

Files: of the PDFs in shared/documents, sorted by name, the middle one of each of 37 equal stretches, and every
docx, html and xlsx. Pages are those that pdfium counts in the PDFs it can open without a password; the other files
count as none. "Digital" are the chosen PDFs with 30 characters or more on at least half of their pages.

1. all in: `lyceum ingest` in a fresh home, encoder and durable commits included; the whole process and its children,
   from start to end.
2. without an encoder: the same command on the digital PDFs alone.
3. peers: the same files, one process each, their defaults, index in memory and not saved. The ratios count neither
   their imports nor the loading of their model, though Lyceum's are counted: they flatter the peers.

The encoder is all-MiniLM-L6-v2 everywhere: the original float32 files in the peers, the same weights as int8 in
Lyceum. One thread each. "Embedded" counts the tokens that reach the encoder: it cuts each text at 256. OCR is off
(the peers have none). CPU seconds alone are compared; wall time says nothing on a shared machine.
--stages says where Lyceum's CPU goes; --long is another run: 1,000 documents, memory, questions meanwhile.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import resource
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import common
import ingest_long
import ingest_stages
import pypdfium2 as pdfium
from common import Figure
from peers import environments

from lyceum.core.text import dense_text
from lyceum.core.types import EVERYONE
from lyceum.ingest.isolate import Isolated
from lyceum.models.minilm import FOLDER, TOKENS
from lyceum.models.weights import models_home
from lyceum.search.gloss import Gloss
from lyceum.store.ledger import Ledger

PDFS = 37
SMALL = 250_000  # bytes; the short form reads only such files with the encoder
PEERS = {"llamaindex": ("LlamaIndex 0.14.25", 3.0), "haystack_ai": ("Haystack 3.4.0", 1.2)}
APART = ("import", "load model")  # stages of a peer that the ratios leave out


@dataclass(frozen=True)
class Run:
    """What `lyceum ingest` did with some files, and its CPU seconds with those of its children."""

    seconds: float
    outcomes: list[dict[str, Any]]
    chunks: int
    embedded: int

    @property
    def failed(self) -> dict[str, str]:
        """The files that were not read, with their codes."""
        return {Path(one["source"]).name: one["code"] for one in self.outcomes if one["status"] == "failed"}


def chosen(folder: Path) -> list[Path]:
    """Return the files of the bench by the rule above."""
    pdfs = sorted((folder / "pdf").glob("*.pdf"))
    some = [pdfs[int((n + 0.5) * len(pdfs) / PDFS)] for n in range(PDFS)] if pdfs else []
    return some + [file for kind in ("docx", "html", "xlsx") for file in sorted((folder / kind).iterdir())]


def pages(file: Path) -> tuple[int, bool]:
    """Return a file's pages and whether it is digital."""
    if file.suffix != ".pdf":
        return 0, False
    try:
        pdf = pdfium.PdfDocument(file)
    except pdfium.PdfiumError:
        return 0, False
    texts = [page.get_textpage().count_chars() >= 30 for page in pdf]
    return len(texts), sum(texts) * 2 >= len(texts)


def megabytes(files: Sequence[Path]) -> float:
    return sum(file.stat().st_size for file in files) / 1e6


def reader(**wanted: str) -> dict[str, str]:
    """Return variables for those settings of the reader that this version has."""
    known = inspect.signature(Isolated).parameters
    return {f"LYCEUM_READER__{name.upper()}": value for name, value in wanted.items() if name in known}


def ingested(files: Sequence[Path], *, encoding: bool) -> Run:
    """Run the command in a fresh home; tokens are counted afterwards, outside the measured time."""
    with tempfile.TemporaryDirectory() as home:
        command = common.ingest_command(home, files)
        variables = {**os.environ, **environments.ONE_THREAD, **reader(workers="1", ocr="off")}
        if not encoding:
            variables["LYCEUM_ENCODER__KIND"] = "none"
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, env=variables, capture_output=True, text=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode not in (0, 4):  # 4: some files failed, as some must
            raise SystemExit(f"lyceum ingest ended with {done.returncode}: {done.stderr[-500:]}")
        seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        outcomes = json.loads(done.stdout)
        embedded = asyncio.run(tokens(Path(home))) if encoding else 0
    return Run(seconds, outcomes, sum(one["chunks"] for one in outcomes), embedded)


async def tokens(home: Path) -> int:
    """Return the tokens that the encoder was given for a home: each text once, glossed, cut."""
    from tokenizers import Tokenizer

    folder = models_home(os.environ.get("LYCEUM_MODELS", "")) / FOLDER
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(TOKENS)
    ledger, gloss = Ledger(home), Gloss()
    documents = await ledger.documents(frozenset({EVERYONE}))
    texts = {dense_text(chunk) for document in documents for chunk in await ledger.chunks(document.id)}
    await ledger.close()
    return sum(len(tokenizer.encode(gloss(text)).ids) for text in texts)


def beside(files: Sequence[Path], count: int, every: int) -> dict[str, dict[str, Any]]:
    """Measure the peers; one that cannot be had is named with the reason and left out."""
    found = {}
    for name, (title, _) in PEERS.items():
        try:
            made = environments.measured(name, files, every)
        except environments.Missing as problem:
            print(f"{title} is not measured: {problem}")
            continue
        made["work"] = sum(spent for stage, spent in made["seconds"].items() if stage not in APART)
        made["pages_per_s"], made["mb_per_s"] = count / made["work"], megabytes(files) / made["work"]
        found[name] = made
        spent = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in made["seconds"].items())
        scaled = f"; every {every}th chunk embedded, its cost x {every}" if every > 1 else ""
        print(f"{title}: {spent} CPU s{scaled}")
        print(
            f"  {count / made['work']:.2f} pages, {made['mb_per_s']:.3f} MB a CPU s; {made['chunks']} chunks,"
            f" {made['tokens']:,} tokens, {made['embedded']:,} of them embedded;"
            f" no text: {', '.join(made['without_text'])}"
        )
    return found


def told(name: str, run: Run, count: int, size: float) -> None:
    """Print what a run of Lyceum did."""
    print(
        f"Lyceum {name}: {run.seconds:.1f} CPU s, {count / run.seconds:.2f} pages and"
        f" {size / run.seconds:.3f} MB a CPU s; {run.chunks} chunks, {run.embedded:,} tokens embedded;"
        f" failed: {', '.join(f'{file} ({code})' for file, code in run.failed.items()) or 'none'}"
    )


def main() -> None:
    options = common.arguments(
        __doc__,
        {"stages": "where the CPU goes", "long": "1,000 documents, memory and questions meanwhile"},
        peers="embed every Nth chunk of the peers and multiply (1: all of them; 0: no peers)",
    )
    files = chosen(Path(options.shared) / "documents") if Path(options.shared, "documents").is_dir() else []
    if not files or common.encoder() is None:
        print("No documents (--shared DIR or LYCEUM_SHARED), or no encoder (lyceum models add minilm).")
        raise SystemExit(77)
    if options.long:
        ingest_long.run(files, options, reader(workers="2", ocr="off"))
    if options.stages:
        asyncio.run(ingest_stages.run(files))
        return
    known = {file: pages(file) for file in files}
    digital = [file for file, (_, is_digital) in known.items() if is_digital]
    mixed = [file for file in files if file.stat().st_size <= SMALL] if options.quick else files
    every = 0 if options.quick else int(options.peers or 1)
    count, size = sum(known[file][0] for file in mixed), megabytes(mixed)
    count_digital = sum(known[file][0] for file in digital)
    print(
        f"{len(mixed)} files, {count} PDF pages, {size:.1f} MB{' (short form: small files)' * options.quick};"
        f" digital: {len(digital)} PDFs, {count_digital} pages{'' if every else '; no peers in this run'}"
    )
    whole = ingested(mixed, encoding=True)
    told("all in", whole, count, size)
    bare = ingested(digital, encoding=False)
    told("without an encoder, digital PDFs", bare, count_digital, megabytes(digital))
    speed = count / whole.seconds
    figures = [
        Figure("all_in_pages_per_s", speed),
        Figure("all_in_mb_per_s", size / whole.seconds),
        Figure("all_in_tokens_per_s", whole.embedded / whole.seconds),
        Figure(
            "digital_pages_per_s", count_digital / bare.seconds, ">= 40", count_digital >= 40 * bare.seconds
        ),
    ]
    peers = beside(mixed, count, every) if every else {}
    for name, made in peers.items():
        target, ratio = PEERS[name][1], speed / made["pages_per_s"]
        figures.append(Figure(f"times_{name}", ratio, f">= {target}", ratio >= target))
        figures.append(Figure(f"{name}_tokens_per_s", made["embedded"] / made["work"]))
    runs = {
        name: {"cpu_s": run.seconds, "chunks": run.chunks, "embedded": run.embedded, "failed": run.failed}
        for name, run in (("all in", whole), ("digital without encoder", bare))
    }
    common.finish(
        "ingest", figures, options, files=[file.name for file in mixed], pages=count, megabytes=size, lyceum=runs,
        peers=peers, every=every,
    )  # fmt: skip


if __name__ == "__main__":
    main()
