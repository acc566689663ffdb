"""Random worlds of documents, readers and questions: nothing of an unreadable document may show.

In every world two homes are compared: one with all documents, one with the readable ones only. Hits, counts,
listings, citations, traces and errors must name no unreadable document and hold none of its words. Controls
that must be found, else the bench itself is broken: each view with its reader filter removed, and the ledger with
its check removed. The encoder is a stand-in (hashed words); the rest is the shipped code.
Collection statistics (idf) are global on purpose: scores may differ, the set of hits may not hold more.
"""

from __future__ import annotations

import json
import random
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import common
import numpy as np
from common import Figure

from lyceum.answer.evidence import Evidence
from lyceum.answer.extractive import Extractive
from lyceum.app import shapes
from lyceum.core.errors import LyceumError
from lyceum.core.trace import span, tracing
from lyceum.core.types import Document, Query
from lyceum.observe.spans import Spans
from tests.toys import Home, document

WORDS = [f"w{letter}{n}" for letter in "abcdefgh" for n in range(8)]
PRINCIPALS = [f"p{n}" for n in range(6)]
EVERYBODY = frozenset({"*", *PRINCIPALS})


def world(seed: int) -> list[tuple[str, str, frozenset[str]]]:
    """Return (source, text, readers) of a few documents; each holds a word of its own that is a canary."""
    rng = random.Random(seed)
    made = []
    for n in range(rng.randint(2, 7)):
        text = " ".join(rng.choices(WORDS, k=rng.randint(3, 12))) + f" canary{seed}x{n}"
        group = rng.choice(
            [["*"], [], rng.sample(PRINCIPALS, rng.randint(1, 3)), ["*", rng.choice(PRINCIPALS)]]
        )
        made.append((f"doc{seed}x{n}.md", text, frozenset(group)))
    return made


async def seen(home: Home, query: Query, documents: list[Document], spans: Spans) -> str:
    """Return, as one text, all that a reader is told: hits, answer, lists, counts, trace, errors."""
    told: list[Any] = []
    answerer = Extractive(home.hybrid, Evidence(home.lexical.analyzer, home.encoder), threshold=0.0)
    with tracing(spans), span("ask", readers=sorted(query.readers)):
        answer = await answerer(query)
    told.append(shapes.answer(answer))
    told.append([shapes.hit(hit) for hit in answer.hits])
    for view in (home.lexical, home.dense):
        numbers = [number for number, _ in await view.find(query, 50)]
        rows = await home.ledger.get(numbers, EVERYBODY)
        told.append([[rows[n][0].text, rows[n][1].source] for n in numbers if n in rows])
    listed = await home.ledger.documents(query.readers)
    told.append([shapes.document(one) for one in listed])
    told.append(await home.ledger.counts(query.readers))
    told.append([shapes.span(one) for one in spans.trace(answer.trace_id, query.readers)])
    for one in documents:
        if not one.readers & query.readers:
            told.append([shapes.document(d) for d in await home.ledger.documents(query.readers, one.id)])
            try:
                await home.store.remove(one.id, query.readers)
            except LyceumError as problem:
                told.append(str(shapes.error(problem)).replace(one.id, "ID"))
    return json.dumps(told, ensure_ascii=False)


async def leaks(seed: int, control: str = "") -> int:
    """Return how many forbidden canaries, sources or counts showed in one world."""
    rng = random.Random(seed * 7 + 1)
    documents = world(seed)
    readers = frozenset(rng.sample(PRINCIPALS, rng.randint(0, 2))) | ({"*"} if rng.random() < 0.9 else set())
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        await home.store.put([document(source, text, readers=group) for source, text, group in documents])
        if rng.random() < 0.5:  # rights change after indexing
            source, text, _ = documents[0]
            group = frozenset(rng.sample(PRINCIPALS, 1))
            documents[0] = (source, text, group)
            await home.store.set_readers(document(source)[0].id, group)
        if control in ("dense", "ledger"):
            home.dense._allowed = lambda seen, query, chosen: np.ones(  # type: ignore[method-assign]
                len(seen.rows) if chosen is None else len(chosen), bool
            )
        if control == "lexical":
            find = home.lexical.find
            home.lexical.find = lambda query, k, among=None: find(  # type: ignore[method-assign]
                replace(query, readers=EVERYBODY), k, among
            )
        if control == "ledger":
            check = home.ledger.get
            home.ledger.get = lambda numbers, _: check(numbers, EVERYBODY)  # type: ignore[method-assign]
        spans = Spans(Path(folder))
        found = 0
        for _ in range(2):
            target = rng.choice(documents)
            words = [*rng.choices(WORDS, k=2), target[1].split()[-1]]
            query = Query(text=" ".join(words), readers=readers, top_k=5)
            told = await seen(home, query, [document(s, t, readers=g)[0] for s, t, g in documents], spans)
            for source, text, group in documents:
                if not group & readers:
                    found += text.split()[-1] in told.replace(query.text, "") or source in told
            counted = sum(1 for _, _, group in documents if group & readers)
            found += json.dumps({"documents": counted, "chunks": counted}) not in told
        spans.close()
        await home.ledger.close()
        return found


async def main() -> None:
    options = common.arguments(__doc__, worlds="how many (1,000; quick 300)")
    worlds = int(options.worlds or (300 if options.quick else 1000))
    found = 0
    for seed in range(worlds):
        found += await leaks(seed)
    caught = {}
    for control in ("dense", "lexical", "ledger"):
        caught[control] = sum([bool(await leaks(seed, control)) for seed in range(40)])
    print(
        f"{worlds} worlds: {found} leaks (95 % upper bound {3 / worlds:.4f} a world); controls found {caught}"
    )
    figures = [
        Figure("leaks", found, "0", found == 0),
        Figure("worlds", worlds),
        *(Figure(f"control_{name}_found", found, ">= 1", found >= 1) for name, found in caught.items()),
    ]
    common.finish("permissions", figures, options)


if __name__ == "__main__":
    common.run(main)
