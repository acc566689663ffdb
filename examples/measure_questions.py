"""Prints what examples/questions.jsonl holds, and how many content words each question shares with its passage.

The passage is the gold sentence, list item or table row. Content words are the analyzer's terms without stop
words, question words and (in Chinese) bigrams. Run: python examples/measure_questions.py [--list]
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import rjieba

from lyceum.answer.evidence import ASKING
from lyceum.search.analyzer import Standard

FEW = 1 / 3
analyze = Standard()
ASKED = {term for word in ASKING for term in analyze(word)} | ASKING


def content_words(text: str) -> set[str]:
    """Return stems, numbers and Chinese words that name something."""
    cut = " ".join(rjieba.cut(text))
    return {term for word in cut.split() for term in analyze(word)[:1] if term not in ASKED}


def shared(question: str, passages: list[str]) -> float:
    """Return the share of the question's content words that stand in its passages."""
    words = content_words(question)
    return len(words & content_words(" ".join(passages))) / max(len(words), 1)


def main() -> None:
    file = Path(__file__).parent / "questions.jsonl"
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    tags = Counter(tag for row in rows for tag in row["tags"])
    print(f"{len(rows)} questions: " + ", ".join(f"{number} {tag}" for tag, number in sorted(tags.items())))
    for name in ("English", "Chinese"):
        group = [
            (shared(row["question"], [gold["evidence"] for gold in row["gold"]]), row)
            for row in rows
            if "unanswerable" not in row["tags"] and ("Chinese" in row["tags"]) == (name == "Chinese")
        ]
        low = sum(value < FEW for value, _ in group)
        mean = sum(value for value, _ in group) / len(group)
        print(f"{name}: {low} of {len(group)} answerable questions share less than a third; mean {mean:.2f}")
        for value, row in group if "--list" in sys.argv else ():
            print(f"  {value:.2f} {row['id']} {row['question']}")


if __name__ == "__main__":
    main()
