"""Hits by a cross-encoder: question and passage are read together, and the model says how well they belong.

Nogueira and Cho 2019. Takes any folder with a sequence classifier of one or two classes as ONNX (model.onnx or
onnx/model.onnx) and its tokenizer.json: bge-reranker, ms-marco-MiniLM and their like. The score is a share: the
sigmoid of one logit, or of the second one over the first. It knows neither the retriever nor the index.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lyceum.core.errors import ConfigError, ProviderError
from lyceum.core.text import dense_text
from lyceum.core.types import Hit, Query

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
TYPES = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}
Pair = tuple[int, Any]


class CrossEncoder:
    """Pairs longer than `tokens` are cut, the longer side first; `batch` pairs of like length run at once.

    `file` is the graph's name, where the folder holds several (model_quantized.onnx). `cut` counts cut pairs.
    """

    def __init__(
        self, model: Path, tokens: int = 512, batch: int = 8, threads: int = 1, file: str = "model.onnx"
    ) -> None:
        assert tokens >= 16, tokens
        assert batch >= 1, batch
        self.folder = model.expanduser()
        found = [path for path in (self.folder / file, self.folder / "onnx" / file) if path.is_file()]
        if not found or not (self.folder / "tokenizer.json").is_file():
            raise ConfigError(
                f"{self.folder} lacks {'tokenizer.json' if found else file}.",
                hint="Give a folder with the ONNX export of a cross-encoder and its tokenizer.json.", code="model",
            )  # fmt: skip
        self.file, self.tokens, self.batch, self.threads = found[0], tokens, batch, threads
        self.cut = 0
        self._guard = threading.Lock()
        self._session: Any = None
        self._tokenizer: Any = None

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

    def _pairs(self, question: str, texts: Sequence[str]) -> list[Pair]:
        """Return each text's place and its tokens after the question's, short ones first."""
        self._load()
        asked = question.encode("utf-8", "replace").decode()
        pairs = [(asked, text.encode("utf-8", "replace").decode()) for text in texts]
        encoded = self._tokenizer.encode_batch(pairs)
        self.cut += sum(bool(one.overflowing) for one in encoded)
        return sorted(enumerate(encoded), key=lambda pair: len(pair[1].ids))

    def _shares(self, pairs: Sequence[Any]) -> list[float]:
        from onnxruntime.capi import onnxruntime_pybind11_state as state

        shape = len(pairs), max(len(one.ids) for one in pairs)
        columns = {name: np.zeros(shape, np.int64) for name in INPUTS}
        columns["input_ids"] += self._padding
        for row, one in enumerate(pairs):
            for column, values in zip(
                columns.values(), (one.ids, one.attention_mask, one.type_ids), strict=True
            ):
                column[row, : len(values)] = values
        feed = {name: columns[name].astype(kind) for name, kind in self._inputs.items()}
        try:
            logits = np.asarray(self._session.run([self._output], feed)[0], np.float64)
        except _failures(state) as problem:
            raise ProviderError(
                f"{self.file} failed: {problem}",
                hint="Is it a cross-encoder for pairs of this length?",
                code="model",
            ) from problem
        return _shares(logits.reshape(len(pairs), -1) if logits.size else logits, str(self.file))

    def _load(self) -> None:
        with self._guard:
            if self._session is None:
                self._tokenizer, self._padding = _tokenizer(self.folder / "tokenizer.json", self.tokens)
                self._session = _session(self.file, self.threads)
                self._inputs = _inputs(self._session, self.file)
                names = [one.name for one in self._session.get_outputs()]
                self._output = "logits" if "logits" in names else names[0]


def _shares(logits: npt.NDArray[np.float64], file: str) -> list[float]:
    if logits.ndim != 2 or logits.shape[1] not in (1, 2):
        raise ConfigError(
            f"{file} gives {logits.shape[-1] if logits.ndim else 0} values a pair.",
            hint="Choose a cross-encoder with one or two classes.", code="model",
        )  # fmt: skip
    if not np.isfinite(logits).all():
        raise ProviderError(f"{file} gave no number.", hint="Try the model in float32.", code="no_number")
    margin = logits[:, 0] if logits.shape[1] == 1 else logits[:, 1] - logits[:, 0]
    shares: list[float] = (0.5 * (1 + np.tanh(margin / 2))).tolist()
    return shares


def _tokenizer(path: Path, tokens: int) -> tuple[Any, int]:
    """Return the tokenizer that cuts pairs and leaves padding to us, and the number that pads."""
    from tokenizers import Tokenizer

    try:
        known = json.loads(path.read_bytes())
        if not isinstance(known, dict) or not {"model", "pre_tokenizer"} <= known.keys():
            raise ValueError("it describes no tokenizer")
        tokenizer = Tokenizer.from_str(json.dumps(known))
    except (OSError, ValueError) as problem:
        raise ConfigError(
            f"{path} cannot be read: {problem}.", hint="Copy it from the model again.", code="model"
        ) from problem
    named = [tokenizer.token_to_id(name) for name in ("[PAD]", "<pad>", "<|pad|>")]
    given = (tokenizer.padding or {}).get("pad_id")
    padding = next((one for one in (given, *named) if one is not None), 0)
    tokenizer.no_padding()
    tokenizer.enable_truncation(tokens)
    return tokenizer, padding


def _session(file: Path, threads: int) -> Any:
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except _failures(state) as problem:
        raise ConfigError(
            f"{file} cannot be opened: {problem}", hint="Export or copy the model again.", code="model"
        ) from problem


def _inputs(session: Any, file: Path) -> dict[str, Any]:
    """Return the graph's inputs with their types; raises ConfigError when it wants what a pair does not have."""
    wanted = {one.name: TYPES.get(one.type) for one in session.get_inputs()}
    strange = [name for name, kind in wanted.items() if name not in INPUTS or kind is None]
    if strange or "input_ids" not in wanted:
        raise ConfigError(
            f"{file} wants {', '.join(strange) or 'no input_ids'}.",
            hint=f"A cross-encoder takes {', '.join(INPUTS)} as integers.", code="model",
        )  # fmt: skip
    return wanted


def _failures(state: Any) -> tuple[type[Exception], ...]:
    """Return every exception that onnxruntime has; they share no base of their own."""
    return tuple(one for one in vars(state).values() if isinstance(one, type) and issubclass(one, Exception))
