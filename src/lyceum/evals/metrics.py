"""An example and its answer to scores, higher being better: retrieval, words, citations, refusals; asks no model.

Retrieval is measured over documents, each counted where its first hit stands; `passage-…` over the pages or words
that the gold names. The formulas are in `rankings` and `text_metrics`, with their papers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice, product

from lyceum.core.protocols import Metric
from lyceum.core.types import Answer, Citation, Example, Gold, Hit, Score
from lyceum.evals.rankings import ranking_metrics
from lyceum.evals.text_metrics import exact, f1, numeric, overlaps, rouge_l, statements
from lyceum.evals.text_metrics import holds as holds

CUTOFFS = (1, 5, 10)
SPELLINGS = 64  # combinations of the spellings of several parts that are tried


def named(source: str, name: str) -> bool:
    """Say whether a document's source is meant by a name: the source itself, or the end of its path."""
    return source == name or source.endswith("/" + name)


def found_in(hit: Hit, gold: Gold) -> bool:
    """Say whether a hit is of the gold document."""
    return named(hit.document.source, gold.document)


def found_at(hit: Hit, gold: Gold) -> bool:
    """Say whether a hit is of the gold page where both pages are known, else whether it holds the gold words."""
    pages = {piece.place.page for piece in hit.chunk.pieces} - {None}
    at = gold.page in pages if gold.page and pages else overlaps(hit.chunk.text, gold.text)
    return found_in(hit, gold) and at


def cites(citation: Citation, gold: Gold) -> bool:
    """Say whether a citation is of the gold document, and of its page or words where both are known."""
    if gold.page and citation.place.page:
        return named(citation.source, gold.document) and citation.place.page == gold.page
    return named(citation.source, gold.document) and (not gold.text or overlaps(citation.quote, gold.text))


def _ranking(name: str, example: Example, answer: Answer) -> Score:
    """Return a figure of the documents in their order (formulas and papers: `evals/rankings.py`)."""
    wanted: dict[str, Gold] = {}
    for gold in sorted(example.gold, key=lambda one: one.grade):
        wanted[gold.document] = gold
    ideal = sorted((one.grade for one in wanted.values() if one.grade > 0), reverse=True)
    if not ideal:
        return Score(reason="no gold document")
    relevance = []
    for source in dict.fromkeys(hit.document.source for hit in answer.hits):
        met = next((one for one in wanted.values() if named(source, one.document)), None)
        relevance.append(wanted.pop(met.document).grade if met else 0.0)
    cutoff = int(name.partition("@")[2] or 10)
    return Score(value=float(ranking_metrics(relevance, ideal, (cutoff,))[name][0]))


def _passages(figure: Callable[[Sequence[int]], float], example: Example, answer: Answer) -> Score:
    """Return a figure of the ranks of the gold pages or words among ten hits; 11 is the rank of what is missing."""
    wanted = [one for one in example.gold if one.grade > 0 and (one.page or one.text)]
    if not wanted:
        return Score(reason="no gold passage")
    ranked = list(enumerate(answer.hits[:10], 1))
    return Score(value=figure([next((at for at, hit in ranked if found_at(hit, one)), 11) for one in wanted]))


def correct(example: Example, answer: Answer) -> Score:
    """Return 1 for an answer that holds every part, or for a refusal where there is no answer."""
    if not example.answerable:
        return Score(value=float(answer.abstained))
    if not example.answers:
        return Score(reason="no gold answer")
    good = all(any(holds(answer.text, one) for one in part) for part in example.answers)
    return Score(value=float(good and not answer.abstained))


def said(answer: Answer) -> str:
    """Return the answer's short form where its quotes are marked, else its sentences without citation marks."""
    marked = [one.quote[one.start : one.end].strip() for one in answer.citations if one.start is not None]
    return " ".join(marked or [text for text, _ in statements(answer.text)])


def _worded(figure: Callable[[str, str], float], example: Example, answer: Answer) -> Score:
    """Return how near the short answer is to the best spelling; parts stand one after the other."""
    if not example.answerable or not example.answers:
        return Score(reason="no gold answer")
    spellings = islice(product(*example.answers), SPELLINGS)
    text = "" if answer.abstained else said(answer)
    return Score(value=max(figure(text, " ".join(parts)) for parts in spellings))


def number(example: Example, answer: Answer) -> Score:
    """Return 1 where every part that is a number stands in the answer, whatever its scale, unit and rounding.

    Zhu et al. (TAT-QA, 2021) ask for number and scale; `meta["scale"]`, where the set has it, may be said or not.
    """
    scale = str(example.meta.get("scale") or "") if example.answerable else ""
    found = []
    for part in example.answers if example.answerable else ():
        # Readers of sets put the scale behind the number.
        bare = [one.removesuffix(f" {scale}") for one in part if scale]
        spelt = [*part, *bare, *(f"{one} {scale}" for one in bare)]
        matches = [numeric(answer.text, one) for one in spelt]
        found += [any(matches)] if matches[0] is not None else []
    if not found:
        return Score(reason="no number in the gold answer")
    return Score(value=float(all(found) and not answer.abstained))


def table_cell(example: Example, answer: Answer) -> Score:
    """Return the share of the answer's parts that are, whole, a marked short answer or a cell of a cited row."""
    if "table" not in example.tags or not example.answerable or not example.answers:
        return Score(reason="no answer from a table")
    cells = [
        cell
        for one in answer.citations
        for cell in ([one.quote[one.start : one.end]] if one.start is not None else one.quote.split(" | "))
    ]
    held = [
        any(exact(cell, one) or numeric(cell, one) for cell in cells for one in part)
        for part in example.answers
    ]
    return Score(value=sum(held) / len(held))


def citation_precision(example: Example, answer: Answer) -> Score:
    """Return the share of citations that are of a gold document, page or passage (Gao et al., ALCE, 2023)."""
    if not example.gold:
        return Score(reason="no gold document")
    if not answer.citations:
        return Score(reason="nothing is cited")
    right = [any(cites(one, gold) for gold in example.gold) for one in answer.citations]
    return Score(value=sum(right) / len(right))


def citation_recall(example: Example, answer: Answer) -> Score:
    """Return the share of gold documents that are cited rightly; what is refused cites nothing."""
    wanted = {gold.document for gold in example.gold}
    if not wanted or not example.answerable:
        return Score(reason="no gold document")
    met = {gold.document for gold in example.gold if any(cites(one, gold) for one in answer.citations)}
    return Score(value=len(met) / len(wanted))


def cited_statements(example: Example, answer: Answer) -> Score:
    """Return the share of the answer's sentences that bear the mark of one of its citations."""
    told = [] if answer.abstained else statements(answer.text)
    if not told:
        return Score(reason="nothing is stated")
    known = {one.number for one in answer.citations}
    return Score(value=sum(bool(known & set(numbers)) for _, numbers in told) / len(told))


def answered(example: Example, answer: Answer) -> Score:
    """Return 1 where a question that has an answer is not refused: coverage (El-Yaniv and Wiener, 2010)."""
    if not example.answerable:
        return Score(reason="it has no answer")
    return Score(value=float(not answer.abstained and bool(answer.text)))


def refusal_precision(example: Example, answer: Answer) -> Score:
    """Return, of a refusal, 1 where there is no answer (Rajpurkar et al., SQuAD 2.0, 2018)."""
    return (
        Score(value=float(not example.answerable)) if answer.abstained else Score(reason="it is not refused")
    )


def refusal_recall(example: Example, answer: Answer) -> Score:
    """Return, of a question without an answer, 1 where it is refused."""
    return Score(reason="it has an answer") if example.answerable else Score(value=float(answer.abstained))


RANKED = ("recall", "precision", "hit", "mrr", "map", "ndcg", "all-gold")
PASSAGES: dict[str, Callable[[Sequence[int]], float]] = {
    "passage-recall@10": lambda ranks: sum(rank < 11 for rank in ranks) / len(ranks),
    "passage-hit@10": lambda ranks: float(min(ranks) < 11),
    "passage-mrr@10": lambda ranks: 1 / min(ranks) if min(ranks) < 11 else 0.0,
    "passage-all-gold@10": lambda ranks: float(max(ranks) < 11),
}
METRICS: dict[str, Metric] = {
    "correct": correct,
    **{f"{name}@{k}": partial(_ranking, f"{name}@{k}") for k in CUTOFFS for name in RANKED},
    **{name: partial(_ranking, name) for name in ("map", "mrr", "ndcg", "r-precision")},
    **{name: partial(_passages, figure) for name, figure in PASSAGES.items()},
    "exact": partial(_worded, exact), "f1": partial(_worded, f1), "rouge-l": partial(_worded, rouge_l),
    "number": number, "table-cell": table_cell, "citation-precision": citation_precision,
    "citation-recall": citation_recall, "cited-statements": cited_statements,
    "answered": answered, "refusal-precision": refusal_precision, "refusal-recall": refusal_recall,
}  # fmt: skip
DEFAULT = (
    "correct", "f1", "number", "recall@10", "ndcg@10", "mrr@10", "all-gold@10", "passage-recall@10",
    "citation-precision", "citation-recall", "cited-statements",
    "answered", "refusal-precision", "refusal-recall",
)  # fmt: skip
