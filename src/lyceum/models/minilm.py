"""The local encoder: texts to unit vectors with onnxruntime, one text at a time, no network and no torch.

`read` gives the vectors of the single words besides, as the last layer has them. A text alone and the same text
among others give the same vector, because int8 activations are scaled per call. It knows where its two files
lie and nothing else.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lyceum.core.errors import ConfigError
from lyceum.core.types import Reading

FOLDER = "all-MiniLM-L6-v2-int8"
RECIPE = "1"  # part of the name: vectors of another recipe are not comparable
TOKENS = 256


class MiniLM:
    """`threads` is what one text may use; several callers may encode at once. `cut` counts shortened texts."""

    dimension = 384
    languages: Mapping[str, float] = {"en": 1.0}
    name = f"{FOLDER}.{RECIPE}"

    def __init__(self, folder: Path, threads: int = 1) -> None:
        self.folder, self.threads = folder, threads
        self.cut = 0
        self._session: Any = None
        self._tokenizer: Any = None
        self._guard = threading.Lock()

    async def __call__(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return float32 unit vectors, texts x 384."""
        return await asyncio.to_thread(self.encode, texts)

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """The same without a thread."""
        self._load()
        vectors = np.empty((len(texts), self.dimension), np.float32)
        for row, text in enumerate(texts):
            vectors[row] = self._run(text, ["vector"])[1][0][0]
        return vectors

    async def read(self, texts: Sequence[str]) -> list[Reading]:
        """Return for every text its unit vector, its words and theirs; no words from a file of an older build."""
        return await asyncio.to_thread(lambda: [self._read(text) for text in texts])

    def _read(self, text: str) -> Reading:
        self._load()
        tokens, (vectors, *hidden) = self._run(text, None)
        spans: dict[int, tuple[int, int]] = {}
        for row, word in enumerate(tokens.word_ids):
            if word is not None:
                spans[word] = (spans.get(word, (row,))[0], row + 1)
        if not hidden or not spans:
            return Reading(vector=vectors[0], words=(), vectors=np.empty((0, self.dimension), np.float16))
        at = tokens.offsets
        words = tuple(text[at[start][0] : at[end - 1][1]].lower() for start, end in spans.values())
        means = [hidden[0][0, start:end].mean(axis=0) for start, end in spans.values()]
        return Reading(vector=vectors[0], words=words, vectors=np.array(means, np.float16))

    def _run(self, text: str, outputs: list[str] | None) -> tuple[Any, list[Any]]:
        """Return a text's tokens and what the graph makes of them."""
        tokens = self._tokenizer.encode(text.encode("utf-8", "replace").decode())
        self.cut += bool(tokens.overflowing)
        ids = np.array([tokens.ids], np.int64)
        return tokens, self._session.run(outputs, {"input_ids": ids, "attention_mask": np.ones_like(ids)})

    def count(self, text: str) -> int:
        """Return how many tokens a text has, also beyond the TOKENS that are read."""
        self._load()
        tokens = self._tokenizer.encode(text.encode("utf-8", "replace").decode())
        return len(tokens.ids) + sum(len(more.ids) - 2 for more in tokens.overflowing)

    def _load(self) -> None:
        with self._guard:
            if self._session is not None:
                return
            import onnxruntime
            from tokenizers import Tokenizer

            self._whole()
            tokenizer = Tokenizer.from_file(str(self.folder / "tokenizer.json"))
            tokenizer.no_padding()
            tokenizer.enable_truncation(TOKENS)
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = self.threads
            options.inter_op_num_threads = 1
            options.log_severity_level = 3
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
            self._tokenizer = tokenizer
            self._session = onnxruntime.InferenceSession(
                str(self.folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
            )

    def _whole(self) -> None:
        """Refuse files that are not those of the card: what reads them fails in as many ways as there are bytes."""
        try:
            card = json.loads((self.folder / "card.json").read_bytes())
            for name, digest in card["files"].items():
                with (self.folder / name).open("rb") as file:
                    if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                        raise ValueError(f"{name} is not the file that was added")
        except (OSError, ValueError, KeyError) as problem:
            raise ConfigError(
                f"The encoder in {self.folder} is damaged: {problem}.",
                hint="Run: lyceum models add minilm", code="model",
            ) from problem  # fmt: skip


def open_encoder(home: Path) -> MiniLM | None:
    """Return the encoder of a models folder; None when it has not been added."""
    folder = home / FOLDER
    return MiniLM(folder) if (folder / "card.json").is_file() else None
