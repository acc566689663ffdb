"""Questions changed before they are searched, without a model: each technique around the shipped hybrid, by set.

Figures are of the test half of each set (by hash of the question's id; at most 300 questions): nDCG@10 minus that of
the hybrid, with a paired bootstrap interval. Nothing was chosen here: numbers of documents, words and weights are
those of the literature. Typos: one letter of one word of six letters or more is dropped, doubled or exchanged with
its neighbour, by a fixed seed; the gain is over the hybrid with the same typos. Rewrites by a model have no figures
here: no model was at hand; tests run them against a scripted one.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from typing import Any

import common
import numpy as np
from common import CHINESE, ENGLISH, Figure
from conversation import Opened, encoder, indexed, last, scores

from lyceum.core.types import Query
from lyceum.evals.examples import half
from lyceum.search.decomposed import Decomposed, parts
from lyceum.search.feedback import RM3, Rocchio, Synonymous
from lyceum.search.selfquery import SelfQuery
from lyceum.search.spelling import Spelled
from lyceum.search.thesaurus import Thesaurus

MOST = 300
QUICK = ("squad_en", "rageval_finance_zh")


def techniques(home: Opened) -> dict[str, Any]:
    """Return what is measured, around the hybrid."""
    hybrid, analyzer, embedder = home.hybrid, home.analyzer, home.embedder
    return {
        "rm3": RM3(hybrid, analyzer),
        "rocchio": Rocchio(hybrid, embedder),
        "hyde without a model": Rocchio(hybrid, embedder, sentences=2),
        "synonyms": Synonymous(hybrid, analyzer, Thesaurus(analyzer), documents=0),
        "synonyms of the corpus": Synonymous(hybrid, analyzer),
        "parts by rules": Decomposed(hybrid),
        "spelling": Spelled(hybrid, analyzer, home.lexical),
        "filters out of words": SelfQuery(hybrid, home.ledger),
    }


def typo(row: dict[str, Any]) -> Query:
    """Return a question with one letter wrong, always the same one."""
    rng = random.Random(row["_id"])
    text = row["text"]
    words = [match for match in re.finditer(r"\b[a-z]{6,}\b", text)]
    if words:
        match = rng.choice(words)
        at = rng.randrange(match.start() + 1, match.end() - 1)
        way = rng.randrange(3)
        middle = ("", text[at] * 2, text[at + 1] + text[at])[way]
        text = text[:at] + middle + text[at + (2 if way == 2 else 1) :]
    return Query(text=text)


async def measured(data: common.Dataset, embedder: Any) -> dict[str, np.ndarray]:
    """Return the differences of each technique, and print them."""
    rows = [row for row in data.queries if half(row["_id"]) == "test"][:MOST]
    found: dict[str, np.ndarray] = {}
    async with indexed(data, embedder) as home:
        found["hybrid"] = before = await scores(home.hybrid, rows, data, last)
        several = sum(bool(parts(row["text"])) for row in rows)
        print(f"{data.name}: hybrid {before.mean():.3f} (n={len(rows)}, {several} in parts)")
        for name, retriever in techniques(home).items():
            await note(found, name, retriever, rows, data, last, before)
        if data.name in ENGLISH:
            wrong = await scores(home.hybrid, rows, data, typo)
            found["typos, hybrid"] = wrong - before
            await note(
                found,
                "typos, spelling",
                Spelled(home.hybrid, home.analyzer, home.lexical),
                rows,
                data,
                typo,
                wrong,
            )
            print(f"  {'typos cost the hybrid':24} {found['typos, hybrid'].mean():+.3f}")
    return found


async def note(
    found: dict[str, np.ndarray], name: str, retriever: Any, rows: Any, data: Any, made_of: Callable[[Any], Query],
    before: np.ndarray,
) -> None:  # fmt: skip
    started = time.process_time()
    found[name] = await scores(retriever, rows, data, made_of) - before
    spent = 1000 * (time.process_time() - started) / len(rows)
    mean, low, high = common.interval([found[name]])
    print(f"  {name:24} {mean:+.3f} [{low:+.3f}, {high:+.3f}] {spent:6.1f} CPU ms", flush=True)


async def main() -> None:
    options = common.arguments(__doc__)
    folder, embedder = common.shared(options), encoder()
    rows = {
        name: await measured(common.dataset(folder, name), embedder)
        for name in (QUICK if options.quick else (*ENGLISH, *CHINESE))
    }
    figures = []
    english = [name for name in rows if name in ENGLISH]
    for name in rows[english[0]]:
        if name != "hybrid":
            mean, low, high = common.interval([rows[one][name] for one in english])
            print(f"macro English, {name}: {mean:+.4f} [{low:+.4f}, {high:+.4f}]")
            key = re.sub(r"\W+", "_", name)
            kept = name == "spelling"  # what may be switched on must not hurt what needed nothing
            figures.append(Figure(key, mean, ">= -.002" if kept else "", not kept or mean >= -0.002))
    typos = common.interval([rows[one]["typos, spelling"] for one in english])
    figures.append(Figure("typos_spelling_low", typos[1], "> 0", typos[1] > 0))
    table = {
        one: {name: round(float(v.mean()), 4) for name, v in found.items()} for one, found in rows.items()
    }
    common.finish("questions", figures, options, table=table)


if __name__ == "__main__":
    common.run(main)
