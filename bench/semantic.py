"""The semantic cache on pairs of questions that ask the same or not: how often it hits, and how often wrongly.

The pairs are in bench/data/semantic_pairs.jsonl, made by `--make` of the blocks in semantic_blocks.txt beside it
(a block is one question with its other wordings and its twins that ask something else). Whole blocks belong to dev or
to test, by hash. The threshold is chosen on dev, by this bench each time: of those with false hits of at most 0.5 %
there, the highest that keeps 95 % of the most hits. On test every pair goes through the policy itself: the first
question is asked and kept, then the second. Then all questions of test are asked of one cache.

Where the evaluation sets are at hand, their questions are compared with each other as well, and pairs of sentences
that people graded: nobody who wrote those knew the guard, whereas the pairs here and the guard are by one hand.

Intervals are Wilson's at 95 % and take pairs as independent; those of one block are not, so they are too narrow.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import common
import numpy as np
import orjson
from common import Figure

from lyceum.core.protocols import Embedder
from lyceum.gateway.cache import Cached, Layers
from lyceum.gateway.call import Call, Reply
from lyceum.gateway.guard import Form, form, same
from lyceum.gateway.identity import Identity
from lyceum.gateway.layers import Memory
from lyceum.gateway.semantic import LONGEST, Semantic

STS = "stsb_en_zh"
DATA = Path(__file__).with_name("data")
SHIPPED = 0.83  # what docs/guides/gateway-caches.md recommends; this bench says whether dev chooses the same
RIGHT, WRONG = 6, 14  # pairs of a block, at most
Pair = dict[str, Any]


def blocks() -> Iterator[tuple[str, str, list[list[str]]]]:
    """Yield language, kind and groups of equal questions of every block."""
    language = ""
    for line in (DATA / "semantic_blocks.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            language = line.strip("[]")
        elif "::" in line and not line.startswith("#"):
            kind, ways, *fills = line.split(" :: ")
            groups = [[one.strip() for one in group.split(" // ")] for group in ways.split(" || ")]
            if fills:
                groups = [[way.replace("{}", one) for way in groups[0]] for one in fills[0].split(" ; ")]
            yield language, kind, groups


def made() -> Iterator[Pair]:
    """Yield the pairs: twins in the same wording first, then others by lot; and the same with other rights."""
    rng = random.Random(11)
    for number, (language, kind, groups) in enumerate(blocks()):
        part = "dev" if hashlib.sha256(groups[0][0].encode()).digest()[0] % 2 else "test"
        base = {"block": number, "language": language, "part": part}
        right = [(g, a, b) for g, group in enumerate(groups) for a, b in itertools.combinations(group, 2)]
        for g, a, b in rng.sample(right, min(RIGHT, len(right))):
            yield {**base, "kind": "paraphrase", "same": True, "a": a, "b": b, "groups": [g, g]}
            if rng.random() < 0.4:
                yield {**base, "kind": "rights", "same": False, "a": a, "b": b, "groups": [g, g]}
        wrong = [
            (i != j, rng.random(), g, h, a, b)
            for (g, one), (h, other) in itertools.permutations(enumerate(groups), 2)
            for (i, a), (j, b) in itertools.product(enumerate(one), enumerate(other))
        ]
        for _, _, g, h, a, b in sorted(wrong)[:WRONG]:
            yield {**base, "kind": kind, "same": False, "a": a, "b": b, "groups": [g, h]}


class Known:
    """An encoder that has encoded everything before."""

    def __init__(self, vectors: dict[str, Any]) -> None:
        self.vectors = vectors

    async def __call__(self, texts: Sequence[str]) -> Any:
        return np.array([self.vectors[text] for text in texts])


def call(text: str, who: str, readers: str = "*") -> Call:
    asked = {"model": "m", "temperature": 0, "messages": [{"role": "user", "content": text}]}
    return Call(
        path="/v1/chat/completions",
        body=b"",
        asked=asked,
        model="m",
        tenant=who,
        readers=frozenset([readers]),
    )


def policy(vectors: dict[str, Any], least: float) -> Cached:
    """Return the policy around a model that answers with the question itself."""

    async def model(call: Call) -> Reply:
        return Reply(
            status=200, body=orjson.dumps({"choices": [], "asked": call.asked["messages"][0]["content"]})
        )

    identity = Identity(str)
    return Cached(model, Layers(Memory(1 << 26)), identity, 3600, Semantic(Known(vectors), identity, least))


async def hit(cache: Cached, pair: Pair, number: int) -> bool:
    """Ask the first question, then the second, and say whether the second got the first one's answer."""
    readers = ("staff", "board") if pair["kind"] == "rights" and number % 2 else ("*", "*")
    whos = (
        f"{number}",
        f"{number}" if readers[0] != readers[1] or pair["kind"] != "rights" else f"{number}b",
    )
    assert (await cache(call(pair["a"], whos[0], readers[0]))).headers["x-lyceum-cache"] == "miss"
    return (await cache(call(pair["b"], whos[1], readers[1]))).headers["x-lyceum-cache"] != "miss"


async def crowd(cache: Cached, pairs: Sequence[Pair]) -> tuple[int, int, int]:
    """Ask all questions of one cache, in any order; return how many were asked, hit, and hit wrongly."""
    meant = {
        pair[name]: (pair["block"], pair["groups"][at]) for pair in pairs for at, name in enumerate("ab")
    }
    hits = wrong = 0
    asked = sorted(meant)
    random.shuffle(asked)
    for text in asked:
        reply = await cache(call(text, "one"))
        if reply.headers["x-lyceum-cache"] == "hit-semantic":
            hits += 1
            wrong += meant[orjson.loads(reply.body)["asked"]] != meant[text]
    return len(asked), hits, wrong


def chosen(
    pairs: Sequence[Pair], cosines: Sequence[float], passes: Sequence[bool]
) -> tuple[float, list[str]]:
    """Return the threshold that dev chooses, and the lines of the sweep."""
    lines, rates = [], {}
    for least in [at / 100 for at in range(60, 100)]:
        found = [cosine >= least for cosine in cosines]
        guarded = [a and b for a, b in zip(found, passes, strict=True)]
        said = []
        for one in (found, guarded):
            right = [hit for hit, pair in zip(one, pairs, strict=True) if pair["same"]]
            wrong = [hit for hit, pair in zip(one, pairs, strict=True) if not pair["same"]]
            said += [sum(right) / len(right), sum(wrong) / len(wrong)]
        rates[least] = said[2:]
        if round(least * 100) % 5 == 0:
            lines.append(f"  {least:.2f}   {said[0]:6.1%} {said[1]:7.2%}      {said[2]:6.1%} {said[3]:7.2%}")
    good = {least: rate for least, rate in rates.items() if rate[1] <= 0.005}
    most = max((rate[0] for rate in good.values()), default=0.0)
    return max((least for least, rate in good.items() if rate[0] >= 0.95 * most), default=1.0), lines


async def others(folder: Path, encoder: Embedder, least: float) -> tuple[list[str], dict[str, list[bool]]]:
    """Return what is taken for one among questions of all evaluation sets, and hits on pairs that people graded.

    Nobody wrote either for this: STS-B's sentences have grades from 0 to 5, here less than 4 and from 4.6 on.
    """
    asked: dict[tuple[str, Form], set[str]] = {}
    for file in sorted((folder / "data").glob("*/queries.jsonl")):
        for line in file.read_text(encoding="utf-8").splitlines():
            text = json.loads(line).get("text") or ""
            if 0 < len(text) <= LONGEST and file.parent.name != STS:
                asked.setdefault((file.parent.name, form(text)), set()).add(text)
    alike = [" | ".join(sorted(texts)) for texts in asked.values() if len(texts) > 1]
    found: dict[str, list[bool]] = {}
    rows = [
        json.loads(line)["metadata"] | json.loads(line)
        for line in (folder / "data" / STS / "queries.jsonl").open()
    ]
    for row in rows:
        if row["score"] < 4 or row["score"] >= 4.6:
            hit = same(row["text"], row["sentence2"])
            if hit:
                one, other = await encoder([row["text"], row["sentence2"]])
                hit = float(one @ other) >= least
            found.setdefault("graded alike" if row["score"] >= 4 else "graded different", []).append(hit)
    return [f"{sum(map(len, asked.values()))} questions", *alike], found


def of(hits: Sequence[bool]) -> str:
    low, high = common.wilson(sum(hits), len(hits))
    return f"{sum(hits):5} of {len(hits):5}  {sum(hits) / len(hits):6.2%}  [{low:.2%}, {high:.2%}]"


async def main() -> None:
    options = common.arguments(__doc__, flags={"make": "write the pairs anew from the blocks"})
    file = DATA / "semantic_pairs.jsonl"
    if options.make:
        file.write_text(
            "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in made()), encoding="utf-8"
        )
        return
    encoder = common.encoder()
    if encoder is None:
        print("No encoder: lyceum models add minilm")
        raise SystemExit(77)
    pairs = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    texts = sorted({pair[name] for pair in pairs for name in "ab"})
    vectors = dict(zip(texts, await encoder(texts), strict=True))
    cosines = [float(vectors[pair["a"]] @ vectors[pair["b"]]) for pair in pairs]
    dev = [at for at, pair in enumerate(pairs) if pair["part"] == "dev" and pair["kind"] != "rights"]
    passes = [same(pairs[at]["a"], pairs[at]["b"]) for at in dev]
    least, lines = chosen([pairs[at] for at in dev], [cosines[at] for at in dev], passes)
    print(f"{len(dev)} pairs of dev: hits and false hits by cosine alone, and behind the guard")
    print("\n".join(lines))
    print(f"dev chooses {least:.2f}; shipped: {SHIPPED:.2f}")
    test = [pair for pair in pairs if pair["part"] == "test"]
    cache = policy(vectors, SHIPPED)
    found = [await hit(cache, pair, number) for number, pair in enumerate(test)]
    print(f"{len(test)} pairs of test at {SHIPPED:.2f}")
    table: dict[str, list[bool]] = {}
    for pair, one in zip(test, found, strict=True):
        for row in (
            pair["kind"],
            f"{pair['kind']} {pair['language']}",
            "same" if pair["same"] else "different",
        ):
            table.setdefault(row, []).append(one)
    wrong = [
        hit for pair, hit in zip(test, found, strict=True) if not pair["same"] and pair["kind"] != "rights"
    ]
    for row in sorted(table):
        print(f"  {row:16} {of(table[row])}")
    for pair, one in zip(test, found, strict=True):
        if one and not pair["same"]:
            print(f"  false: {pair['kind']}: {pair['a']} | {pair['b']}")
    asked, hits, bad = await crowd(policy(vectors, SHIPPED), [p for p in test if p["kind"] != "rights"])
    print(f"all together: {asked} asked, {hits} hits, {bad} of them wrong")
    if (Path(options.shared) / "data" / STS).is_dir():
        alike, graded = await others(Path(options.shared), encoder, SHIPPED)
        print(f"{alike[0]} of other people, taken for one:", *alike[1:], sep="\n  ")
        for row, hits_of in graded.items():
            print(f"  {row:16} {of(hits_of)}")
        table |= graded
    high = common.wilson(sum(wrong), len(wrong))[1]
    graded_wrong = sum(table.get("graded different", []))
    figures = [
        Figure("pairs", len(pairs), ">= 400", len(pairs) >= 400),
        Figure("threshold", SHIPPED, f"{least:.2f} by dev", abs(least - SHIPPED) < 0.005),
        Figure("hits", sum(table["paraphrase"]) / len(table["paraphrase"])),
        Figure("false_hits", sum(wrong) / len(wrong), "<= 0.005", sum(wrong) / len(wrong) <= 0.005),
        Figure("false_hits_upper", high),
        Figure("across_rights", sum(table["rights"]), "0", not any(table["rights"])),
        Figure("others_false", graded_wrong, "0", not graded_wrong),
        Figure("crowd_false", bad / asked, "<= 0.005", bad / asked <= 0.005),
    ]  # fmt: skip
    rows = {
        row: {"hits": sum(told), "pairs": len(told), "interval": common.wilson(sum(told), len(told))}
        for row, told in sorted(table.items())
    }
    common.finish("semantic", figures, options, rows=rows, crowd=[asked, hits, bad], sweep=lines)


if __name__ == "__main__":
    common.run(main)
