"""Files to stored documents: several at once, in order, bounded; and no text is encoded twice."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lyceum.core.errors import StoreError
from lyceum.core.types import Chunk, Document, Element
from lyceum.ingest import pipeline
from lyceum.ingest.isolate import Isolated
from lyceum.ingest.pipeline import Ingest, Outcome, jobs
from lyceum.ingest.splitter import Structured
from tests.toys import ALL, Home, run

SECTIONS = 8


def splitter() -> Structured:
    return Structured(tokens=60)


def handbook(*changed: int) -> str:
    """Return Markdown with one chunk a section."""
    return "# Handbook\n\n" + "".join(
        f"## Part {n}\n\n" + f"Rule {n} says that valve {n} is {'shut' if n in changed else 'open'}. " * 5 + "\n\n"
        for n in range(SECTIONS)
    )  # fmt: skip


@contextmanager
def ingesting(folder: Path, workers: int = 2) -> Iterator[tuple[Home, Callable[..., list[Outcome]]]]:
    """Ingest `folder / files` into a home with both views and a toy encoder that counts."""
    home = Home(folder / "home")
    (folder / "files").mkdir()

    def ingest(*paths: Path, tags: frozenset[str] | None = None) -> list[Outcome]:
        async def work() -> list[Outcome]:
            reader = Isolated(workers=workers)
            try:
                made = Ingest(home.store, reader, splitter(), workers + 1)
                todo = jobs(paths or [folder / "files"])
                outcomes = await made([replace(job, tags=tags) for job in todo])
                await home.store.catch_up()
                return outcomes
            finally:
                await reader.close()

        return run(work())

    yield home, ingest


def test_only_what_changed_is_encoded_again(tmp_path: Path) -> None:
    with ingesting(tmp_path) as (home, ingest):
        file = tmp_path / "files" / "handbook.md"
        file.write_text(handbook())
        (outcome,) = ingest()
        assert (outcome.status, outcome.chunks) == ("added", SECTIONS)
        assert home.encoder.encoded == SECTIONS
        file.write_text(handbook(3, 5))
        (outcome,) = ingest()
        assert (outcome.status, outcome.chunks) == ("updated", SECTIONS)
        assert home.encoder.encoded == SECTIONS + 2
        ingest()
        assert home.encoder.encoded == SECTIONS + 2
        found = run(home.texts("valve 3 is shut", top_k=1))
        assert "valve 3 is shut" in found[0]


def test_the_same_text_is_encoded_once_in_one_batch_and_in_later_ones(tmp_path: Path) -> None:
    with ingesting(tmp_path) as (home, ingest):
        for name in ("one", "two", "three"):
            (tmp_path / "files" / name).mkdir()
            (tmp_path / "files" / name / "handbook.md").write_text(handbook())
        page = "## Notice\n\n" + "The harbour is closed on Sundays. " * 6 + "\n\n"
        other = "## Other\n\n" + "Nothing else is known today. " * 6 + "\n\n"
        (tmp_path / "files" / "twice.md").write_text(f"# Notices\n\n{page}{other}{page}")
        outcomes = ingest()
        assert sum(outcome.chunks for outcome in outcomes) == 3 * SECTIONS + 3
        assert home.encoder.encoded == SECTIONS + 2
        later = tmp_path / "later" / "handbook.md"
        later.parent.mkdir()
        later.write_text(handbook(0))
        ingest(later)
        assert home.encoder.encoded == SECTIONS + 3
        assert run(home.ledger.counts(ALL))["documents"] == 5


def test_tags_are_given_kept_and_changed_without_reading_again(tmp_path: Path) -> None:
    with ingesting(tmp_path) as (home, ingest):
        file = tmp_path / "files" / "handbook.md"
        file.write_text(handbook())

        def tagged(*tags: str, given: bool = True) -> tuple[str, list[str]]:
            (outcome,) = ingest(tags=frozenset(tags) if given else None)
            (found,) = run(home.ledger.documents(ALL))
            return outcome.status, found.meta.get("tags", [])

        assert tagged("hr", "2024") == ("added", ["2024", "hr"])
        assert tagged(given=False) == ("unchanged", ["2024", "hr"])
        assert tagged("hr") == ("tags", ["hr"])
        file.write_text(handbook(3))
        assert tagged(given=False) == ("updated", ["hr"])
        assert run(home.texts("valve", top_k=1, filters={"tag": "hr"}))
        assert run(home.texts("valve", top_k=1, filters={"tag": "2024"})) == []


class Noted:
    """A library that keeps nothing and notes how much was in memory at once; it is slow, as a disk may be."""

    def __init__(self, *, broken: bool = False) -> None:
        self.batches: list[list[str]] = []
        self.broken = broken

    async def put(self, batch: Sequence[tuple[Document, Sequence[Element], Sequence[Chunk]]]) -> None:
        if self.broken:
            raise StoreError("The disk is full.", hint="Free some space.")
        self.batches.append([document.source for document, _, _ in batch])
        await asyncio.sleep(0.01)

    async def set_readers(self, document_id: str, readers: frozenset[str]) -> None:
        raise AssertionError

    async def set_tags(self, document_id: str, tags: frozenset[str]) -> bool:
        raise AssertionError

    async def versions(self) -> dict[str, tuple[str, frozenset[str]]]:
        return {}


class Timed:
    """A reader that takes longest for the first files and notes how many it had at work."""

    limits = ""

    def __init__(self, elements: int = 1) -> None:
        self.elements, self.running, self.most, self.read, self.cancelled = elements, 0, 0, 0, 0

    async def __call__(
        self, path: Path, name: str, document: Document, tell: Callable[[int, int], None]
    ) -> Any:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(0.05 if int(path.stem) % 5 == 0 else 0.001)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1
        self.read += 1
        tell(1, 1)
        element = Element(doc_id=document.id, kind="text", text=f"words of {path.stem}")
        return _Parsed((element,) * self.elements)


class _Parsed:
    media, title, language, pages, warnings, incomplete = "txt", "", "en", 1, (), False

    @property
    def report(self) -> dict[str, Any]:
        return {}

    def __init__(self, elements: tuple[Element, ...]) -> None:
        self.elements = elements


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for number in range(40):
        (tmp_path / f"{number:02}.txt").write_text(f"words {number}")
    return tmp_path


def test_several_at_once_in_the_order_of_the_jobs(files: Path) -> None:
    library, reader, heard, pages = Noted(), Timed(), [], []
    ingest = Ingest(library, reader, splitter(), 3)
    outcomes = run(ingest(jobs([files]), heard.append, lambda page, total: pages.append(page)))
    assert [Path(one.source).stem for one in outcomes] == [f"{number:02}" for number in range(40)]
    assert heard == outcomes
    assert [source for batch in library.batches for source in batch] == [one.source for one in outcomes]
    assert (reader.most, len(pages)) == (3, 40)


def test_big_documents_wait_outside(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a slow disk, no more is read than a bound of elements and what was at work when it was reached."""
    monkeypatch.setattr(pipeline, "WAITING", 100)
    library, reader, ahead = Noted(), Timed(elements=50), []

    async def put(batch: Sequence[Any]) -> None:
        ahead.append(reader.read - sum(map(len, library.batches)))
        library.batches.append(list(batch))
        await asyncio.sleep(0.05)

    monkeypatch.setattr(library, "put", put)
    run(Ingest(library, reader, splitter(), 3)(jobs([files])))
    assert max(ahead) <= 100 / 50 + 3
    monkeypatch.setattr(pipeline, "WAITING", 10_000)
    library.batches, ahead[:] = [], []
    reader.read = 0
    run(Ingest(library, reader, splitter(), 3)(jobs([files])))
    assert max(ahead) > 100 / 50 + 3, "without the bound more is read ahead"


def test_a_failing_library_stops_all_that_is_read(files: Path) -> None:
    reader = Timed()
    started = time.monotonic()
    with pytest.raises(StoreError, match="disk is full"):
        run(Ingest(Noted(broken=True), reader, splitter(), 3)(jobs([files])))
    assert reader.running == 0
    assert reader.read < 40
    assert time.monotonic() - started < 5


def test_an_interrupted_ingest_stops_its_readers(files: Path) -> None:
    async def work() -> Timed:
        reader = Timed()
        task = asyncio.create_task(Ingest(Noted(), reader, splitter(), 3)(jobs([files])))
        await asyncio.sleep(0.02)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return reader

    reader = run(work())
    assert (reader.running, reader.cancelled > 0) == (0, True)


def test_a_pool_reads_at_once_and_one_crash_is_one_file(tmp_path: Path) -> None:
    slow = tmp_path / "slow.md"
    slow.write_text("# Title\n\nSome *words* here.\n\n" * 100_000)
    good = [tmp_path / f"good{number}.txt" for number in range(4)]
    for path in good:
        path.write_text("The anchor weighs 40 kg.")

    async def work() -> None:
        reader = Isolated(workers=2)

        async def read(path: Path) -> Any:
            return await reader(path, path.name, Document(id="d", source=path.name, version="1"))

        try:
            long = asyncio.create_task(read(slow))
            await asyncio.sleep(0.3)
            for path in good:  # beside the slow one, in the other worker
                assert (await asyncio.wait_for(read(path), 20)).pages == 1
            assert not long.done()
            long.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await long
            both = await asyncio.gather(*(read(path) for path in good))
            assert [one.elements[0].text for one in both] == ["The anchor weighs 40 kg."] * 4
        finally:
            await reader.close()
        assert [one._process for one in reader._all] == [None, None]

    run(work())
