"""An English encoder that reads Chinese too: texts are glossed word by word before they are encoded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lyceum.core.protocols import Embedder
from lyceum.core.text import count_tokens

TRUST = 0.375  # of a cosine between two glosses (docs/decisions/gloss.md)


class Glossed:
    """Wraps an encoder; `gloss` turns Chinese into English words and leaves the rest."""

    def __init__(self, embedder: Embedder, gloss: Callable[[str], str], name: str) -> None:
        self.embedder, self.gloss = embedder, gloss
        self.name, self.dimension = f"{embedder.name}+{name}", embedder.dimension
        self.languages: Mapping[str, float] = {**embedder.languages, "zh": TRUST}
        if hasattr(embedder, "read"):  # words can be compared one by one only where the encoder gives them
            self.read = self._read

    def count(self, text: str) -> int:
        """Return how many tokens are read of a text."""
        counter: Callable[[str], int] = getattr(self.embedder, "count", count_tokens)
        return counter(self.gloss(text))

    async def __call__(self, texts: Sequence[str]) -> Any:
        """Return unit vectors, texts x dimension."""
        return await self.embedder([self.gloss(text) for text in texts])

    async def _read(self, texts: Sequence[str]) -> Any:
        return await getattr(self.embedder, "read")([self.gloss(text) for text in texts])  # noqa: B009
