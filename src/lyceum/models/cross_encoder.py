"""Hits by a cross-encoder: question and passage are read together, and the model says how well they belong.

Nogueira and Cho 2019. Takes any folder with a classifier of one or two classes as ONNX (model.onnx, onnx/model.onnx)
and its tokenizer.json: bge-reranker, ms-marco-MiniLM and their like. The score is a share: the sigmoid of one
logit, or of the second one over the first. It knows no retriever and no index.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lyceum.core.errors import ConfigError, ProviderError
from lyceum.core.text import dense_text
from lyceum.core.types import Hit, Query

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
TYPES = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}


class CrossEncoder:
    """Pairs longer than `tokens` are cut, the longer side first; `batch` pairs of like length run at once.

    `file` is the graph's name, where the folder holds several (model_quantized.onnx). `cut` counts cut pairs.
    """

    def __init__(
        self, model: Path, tokens: int = 512, batch: int = 8, threads: int = 1, file: str = "model.onnx"
    ) -> None:
        assert tokens >= 16, tokens
        assert batch >= 1, batch
        folder = model.expanduser()
        found = [path for path in (folder / file, folder / "onnx" / file) if path.is_file()]
        if not found or not (folder / "tokenizer.json").is_file():
            raise _unusable(folder, f"lacks {'tokenizer.json' if found else file}")
        self.folder, self.file, self.tokens, self.batch, self.threads = (
            folder,
            found[0],
            tokens,
            batch,
            threads,
        )
        self.cut = 0
        self._guard = threading.Lock()
        self._session: Any = None

    async def __call__(self, query: Query, hits: Sequence[Hit]) -> list[Hit]:
        """Return the hits by their shares, best first; raises ProviderError when the model gives no number."""
        pairs = await asyncio.to_thread(self._pairs, query.text, [dense_text(hit.chunk) for hit in hits])
        scored = []
        for start in range(
            0, len(pairs), self.batch
        ):  # a thread for each batch: what is cancelled ends after one
            some = pairs[start : start + self.batch]
            shares = await asyncio.to_thread(self._shares, [tokens for _, tokens in some])
            scored += [replace(hits[row], score=share) for (row, _), share in zip(some, shares, strict=True)]
        return sorted(scored, key=lambda hit: -hit.score)

    def _pairs(self, question: str, texts: Sequence[str]) -> list[tuple[int, Any]]:
        """Return each text's place and its tokens after the question's, short ones first."""
        with self._guard:
            if self._session is None:
                self._load()
        whole = [tuple(one.encode("utf-8", "replace").decode() for one in (question, text)) for text in texts]
        encoded = self._tokenizer.encode_batch(whole)
        self.cut += sum(bool(one.overflowing) for one in encoded)
        return sorted(enumerate(encoded), key=lambda pair: len(pair[1].ids))

    def _shares(self, pairs: Sequence[Any]) -> list[float]:
        shape = len(pairs), max(len(one.ids) for one in pairs)
        columns = {name: np.zeros(shape, np.int64) for name in INPUTS}
        columns["input_ids"] += self._padding
        for row, one in enumerate(pairs):
            for name, values in zip(INPUTS, (one.ids, one.attention_mask, one.type_ids), strict=True):
                columns[name][row, : len(values)] = values
        feed = {name: columns[name].astype(kind) for name, kind in self._inputs.items()}
        try:
            logits = np.asarray(self._session.run([self._output], feed)[0], np.float64)
        except _failures() as problem:
            raise ProviderError(
                f"{self.file} failed: {problem}", hint="Lower tokens.", code="model"
            ) from problem
        if logits.size not in (len(pairs), 2 * len(pairs)):
            raise _unusable(self.file, f"gives {logits.size // len(pairs)} values a pair")
        if not np.isfinite(logits).all():
            raise ProviderError(f"{self.file} gave no number.", hint="Take it in float32.", code="no_number")
        margin = np.diff(logits.reshape(len(pairs), -1), prepend=0.0)[:, -1]
        shares: list[float] = (0.5 * (1 + np.tanh(margin / 2))).tolist()
        return shares

    def _load(self) -> None:
        import onnxruntime
        from tokenizers import Tokenizer

        try:
            self._tokenizer = Tokenizer.from_buffer((self.folder / "tokenizer.json").read_bytes())
        except (OSError, ValueError) as problem:
            raise _unusable(self.folder / "tokenizer.json", f"cannot be read: {problem}") from problem
        named = [self._tokenizer.token_to_id(name) for name in ("[PAD]", "<pad>")]
        self._padding = next((one for one in named if one is not None), 0)
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(self.tokens)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self.threads, 1
        options.log_severity_level = 4
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            session = onnxruntime.InferenceSession(
                str(self.file), options, providers=["CPUExecutionProvider"]
            )
        except _failures() as problem:
            raise _unusable(self.file, f"cannot be opened: {problem}") from problem
        self._inputs = {one.name: TYPES.get(one.type) for one in session.get_inputs()}
        if strange := [name for name, kind in self._inputs.items() if name not in INPUTS or kind is None]:
            raise _unusable(self.file, f"wants {', '.join(strange)}")
        names = [one.name for one in session.get_outputs()]
        self._output = "logits" if "logits" in names else names[0]
        self._session = session


def _unusable(path: Path, said: str) -> ConfigError:
    hint = f"Give a folder with tokenizer.json and an ONNX graph from {', '.join(INPUTS)} to 1 or 2 logits."
    return ConfigError(f"{path} {said}.", hint=hint, code="model")


def _failures() -> tuple[type[Exception], ...]:
    """Return every exception that onnxruntime has; they share no base of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return tuple(one for one in vars(state).values() if isinstance(one, type) and issubclass(one, Exception))
