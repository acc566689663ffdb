"""What the attribution bench found, as a page of docs/."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import common
from broken import PIPELINES, Fault

from lyceum.core.types import Example

Named = tuple[str, ...]


@dataclass
class Trial:
    """What became of a fault: how many questions it was tried on, which it broke, what was named for each."""

    fault: Fault
    tried: int
    named: list[tuple[Example, Named]]

    @property
    def right(self) -> int:
        return sum(stages == tuple(self.fault.stage.split("+")) for _, stages in self.named)


@dataclass
class Found:
    """What a run of the bench found; `apart` are faults to which two answers are true."""

    examples: Sequence[Example]
    documents: int
    trials: list[Trial] = field(default_factory=list)
    pairs: list[Trial] = field(default_factory=list)
    apart: list[Trial] = field(default_factory=list)
    sound: list[Named] = field(default_factory=list)
    failing: list[Named] = field(default_factory=list)

    @property
    def right(self) -> int:
        return sum(one.right for one in self.trials)

    @property
    def broken(self) -> int:
        return sum(len(one.named) for one in self.trials)

    @property
    def first(self) -> int:
        """Return how often the first stage named is the broken one, a pair or not."""
        return sum(stages[:1] == (one.fault.stage,) for one in self.trials for _, stages in one.named)


def called(stages: Sequence[str]) -> str:
    return "+".join(stages) or "nothing"


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in lines)


def by_fault(trials: Sequence[Trial]) -> str:
    rows = []
    for one in trials:
        low, high = common.wilson(one.right, len(one.named))
        sets = Counter(example.tags[0].split("_")[0] for example, _ in one.named)
        rows.append(
            [one.fault.name, one.fault.stage, one.fault.pipeline, one.tried, len(one.named),
             ", ".join(f"{name} {count}" for name, count in sorted(sets.items())),
             f"{one.right / max(len(one.named), 1):.3f} [{low:.3f}, {high:.3f}]"]
        )  # fmt: skip
    return table(
        ["fault", "stage", "pipeline", "tried", "broken", "of these by set", "attributed right"], rows
    )


def confusion(trials: Sequence[Trial]) -> str:
    """Return faults by what was named for them."""
    counts = {one.fault.name: Counter(called(stages) for _, stages in one.named) for one in trials}
    columns = sorted({name for count in counts.values() for name in count})
    rows = [[name, *(count[column] or "" for column in columns)] for name, count in counts.items()]
    return table(["fault", *columns], rows)


PAGE = """# Which stage lost the answer: the autopsy under test

Made by `python bench/attribution.py` on {date}, commit {commit}; what follows is its output.

**What is done.** {documents} PDF and HTML files are made out of passages and tables of {sets}
(`bench/rendered.py`) and go through the real ingest. {questions} questions fall to the {half} half of the documents,
which is reported here. Those that a pipeline answers right, with the evidence cited, are asked again in that pipeline
with one fault (`bench/broken.py`, `bench/broken_files.py`); those that fail now are explained by the autopsy. It is
given the broken pipeline, the files, and the question with its gold: never the healthy pipeline, its output, or the
fault's name. The stage beside each fault was written down before it was run; the strength of faults, the pipelines
and the autopsy itself were developed on the other half, with these kinds of fault in sight.

**Pipelines.** Where a fault seldom breaks an answer, a pipeline was chosen in which its part decides.

{pipelines}

## One fault

{accuracy:.3f} of {broken} broken questions are attributed to the stage that was broken and to no other (95 %
interval {low:.3f} to {high:.3f}; target .95). The first stage named is the broken one in {first:.3f}: the rest of
these are pairs, where the repair of that stage did not mend the answer alone.

{by_fault}

{weak}

{whats}

## Confusion

Rows are what was broken, columns the stage named.

{confusion}

{mistakes}

## Nothing broken

Of {sound} questions that work, {called_sound} were called sound. Of {failing} that the healthy default pipeline
fails, the autopsy says the following; nobody knows the truth about these.

{natural}

## Two faults at once

Counted are both stages named as a pair, and at least one of the two named.

{doubles}

## What cannot be told apart

- *All weight on a part that fails* and *a part that fails* are one observation to whoever may only move gold up:
  both repairs mend. They are told apart by asking whether the part's index agrees with the ledger. If a view built
  anew out of the ledger finds the gold, the index was broken; if it ranks the gold as low as the old one and another
  weight mends the answer, the weight was wrong. A poor encoder in an intact index is never called a broken index.
- *A context cut short* and *gold ranked too low* differ only by what the reader asked for: gold within the hits that
  it asked for and did not get is lost on the way; gold below them was ranked too low. Where the ranking is poor as
  well, both answers are true: another ranking would mend it, and so would more room. What the budget of one passage
  is called in a pipeline with weight .9 stands here and counts nowhere above:

{apart}

- *A context cut short* and *a reader that fails* meet where the gold is read and something else is chosen because
  other passages, by which words are weighed, are missing. The gold was in hand, so this is called read.
- A document in which the parser has truly broken a row, and whose answer could be found nevertheless, has two faults
  once another one is put in. Repairing the row puts it anew into the index as well, so an index that lacks the
  document is then called parse.
- *A page dropped* and *a table broken* are both the parser's: the autopsy names the stage, not the kind. The same
  holds for the two ways in which an index was broken.
- A document that was never ingested and one whose only page was lost look alike; both are called parse.
- Faults here are total for the questions they are aimed at. Weak ones that lower a rank a little are not tried.
"""


def told(found: Found) -> str:
    """Return the page."""
    low, high = common.wilson(found.right, found.broken)
    natural = Counter(called(stages) for stages in found.failing).most_common()
    return PAGE.format(
        date=time.strftime("%Y-%m-%d"), commit=common._commit(), documents=found.documents,
        sets=", ".join(sorted({one.tags[0] for one in found.examples})), questions=len(found.examples),
        half=found.examples[0].half, accuracy=found.right / max(found.broken, 1), broken=found.broken,
        first=found.first / max(found.broken, 1), low=low, high=high, by_fault=by_fault(found.trials),
        pipelines="\n".join(f"- *{name}*: {_written(tables)}" for name, tables in PIPELINES.items()),
        weak=_weak(found.trials), whats="\n".join(f"- {one.fault.name}: {one.fault.what}" for one in found.trials),
        confusion=confusion(found.trials), mistakes=mistaken(found.trials),
        sound=len(found.sound), called_sound=sum(not stages for stages in found.sound),
        failing=len(found.failing), natural=table(["stage named", "questions"], natural),
        doubles=doubles(found.pairs), apart=confusion(found.apart) if found.apart else "",
    )  # fmt: skip


def _weak(trials: Sequence[Trial]) -> str:
    weak = [one for one in trials if one.right < 0.95 * len(one.named)]
    said = ", ".join(f"{one.fault.name} ({one.right} of {len(one.named)})" for one in weak)
    return f"Below .95 taken by themselves: {said or 'none'}."


def _written(tables: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a configuration in words of lyceum.toml."""
    keys = [f"{name}.{key} = {value!r}" for name, table in tables.items() for key, value in table.items()]
    return "`" + "`, `".join(keys) + "`" if keys else "as shipped"


def doubles(pairs: Sequence[Trial]) -> str:
    """Return what was named for two faults at once."""
    rows = []
    for pair in pairs:
        wanted = set(pair.fault.stage.split("+"))
        whole = sum(set(stages) == wanted for _, stages in pair.named)
        some = sum(bool(wanted & set(stages)) for _, stages in pair.named)
        most = Counter(called(stages) for _, stages in pair.named).most_common(3)
        others = ", ".join(f"{name} {count}" for name, count in most)
        rows.append([pair.fault.name, pair.fault.stage, pair.tried, len(pair.named), whole, some, others])
    return table(["faults", "stages", "tried", "broken", "both", "one at least", "named most"], rows)


def mistaken(trials: Sequence[Trial]) -> str:
    """Return a line for each of the first mistakes."""
    lines = [
        f"- {one.fault.name}: {called(stages)} for {example.id} ({example.question[:80]})"
        for one in trials for example, stages in one.named if called(stages) != one.fault.stage
    ]  # fmt: skip
    return (
        f"Mistakes ({len(lines)}), the first of them:\n\n" + "\n".join(lines[:20])
        if lines
        else "No mistakes."
    )
