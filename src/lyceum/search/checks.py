"""What a question must be before anything is searched; every retriever starts here."""

from __future__ import annotations

from lyceum.core.errors import InvalidInput, TooLarge
from lyceum.core.types import Query

LONGEST = 10_000
MOST_HITS = 1_000


def check(query: Query) -> None:
    """Raise when the question is empty, longer than 10,000 characters, or asks for too many hits."""
    if not query.text.strip():
        raise InvalidInput("The question is empty.", hint="Ask in words.", code="empty_query")
    if len(query.text) > LONGEST:
        raise TooLarge(
            f"The question has {len(query.text):,} characters; {LONGEST:,} are allowed.",
            hint="Ask a shorter question, or add the long text as a document.",
            code="query_too_long",
        )
    if not 1 <= query.top_k <= MOST_HITS:
        raise InvalidInput(f"top_k is {query.top_k}.", hint=f"Choose 1 to {MOST_HITS}.", code="top_k")
