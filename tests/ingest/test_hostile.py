"""Sixty damaged files in a row: each gives pages or a code that is known, and the next one is read all the same."""

from __future__ import annotations

import asyncio
from pathlib import Path

from lyceum.core.errors import ParseError
from lyceum.core.types import Document
from lyceum.ingest.isolate import Isolated
from tests.ingest.mutated import corpus, mutations
from tests.toys import run

EXAMPLES = Path(__file__).parents[2] / "examples" / "documents"
CODES = {"password", "corrupt", "limit", "time", "empty", "unsupported", "mismatch", "crash"}


def test_sixty_damaged_files(tmp_path: Path) -> None:
    async def work() -> dict[str, ParseError | None]:
        found: dict[str, ParseError | None] = {}
        reader = Isolated(memory_mb=1024, cpu_seconds=10, wall_seconds=30.0)
        path = tmp_path / "damaged"
        try:
            for name, data in mutations(corpus(EXAMPLES), 60, seed=7):
                path.write_bytes(data)
                try:
                    await reader(path, name, Document(id="d", source=name, version="1"))
                    found[name] = None
                except ParseError as problem:
                    found[name] = problem
        finally:
            await reader.close()
        return found

    found = run(asyncio.wait_for(work(), 120))
    problems = {name: problem for name, problem in found.items() if problem is not None}
    codes = [problem.code for problem in problems.values()]
    assert set(codes) <= CODES
    assert all(name in problem.message and problem.hint for name, problem in problems.items())
    assert len(found) == 60
    assert len(found) - len(problems) >= 20
    assert codes.count("corrupt") >= 5  # a run in which nothing is damaged has tested nothing
