"""Texts and pictures to vectors of one space, by two ONNX graphs of a folder that the user brings; no network.

The folder is what exporters of CLIP- and ColPali-like models write: text_model.onnx, vision_model.onnx (also under
onnx/), tokenizer.json, and preprocessor_config.json for size, mean and deviation. One vector each (CLIP, Radford et
al. 2021), or one a token and a patch (ColPali, Faysse et al. 2024): the outputs' rank says which.
"""

from __future__ import annotations

import asyncio
import io
import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lyceum.core.errors import ConfigError, InvalidInput

TOKENS = 77
MEAN, DEVIATION = (0.481, 0.458, 0.408), (0.269, 0.261, 0.276)  # of CLIP, where a folder is silent


class Clip:
    """`folder` holds the two graphs; both are loaded at the first use."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("text_model.onnx", "vision_model.onnx", "tokenizer.json"):
            if not self._file(name).is_file():
                raise ConfigError(
                    f"{folder} holds no {name}.",
                    hint="Export the model to ONNX, text and vision apart.",
                    code="model",
                )
        self._guard = threading.Lock()
        self._loaded: tuple[Any, Any, Any, dict[str, Any]] | None = None

    async def texts(self, texts: Sequence[str]) -> list[Any]:
        """Return unit vectors: (dimension,) each, or (tokens, dimension)."""
        return await asyncio.to_thread(lambda: [self._text(one) for one in texts])

    async def pictures(self, pictures: Sequence[bytes]) -> list[Any]:
        """Return unit vectors: (dimension,) each, or (patches, dimension). Raises InvalidInput for no picture."""
        return await asyncio.to_thread(lambda: [self._picture(one) for one in pictures])

    def _file(self, name: str) -> Path:
        beside = self.folder / name
        return beside if beside.is_file() else self.folder / "onnx" / name

    def _load(self) -> tuple[Any, Any, Any, dict[str, Any]]:
        with self._guard:
            if self._loaded is None:
                import onnxruntime
                from tokenizers import Tokenizer

                options = onnxruntime.SessionOptions()
                options.intra_op_num_threads = options.inter_op_num_threads = 1
                options.log_severity_level = 3
                try:
                    graphs = [
                        onnxruntime.InferenceSession(
                            str(self._file(name)), options, providers=["CPUExecutionProvider"]
                        )
                        for name in ("text_model.onnx", "vision_model.onnx")
                    ]
                    tokenizer = Tokenizer.from_file(str(self._file("tokenizer.json")))
                    card = self._file("preprocessor_config.json")
                    told = json.loads(card.read_bytes()) if card.is_file() else {}
                except Exception as problem:  # both libraries raise classes of their own below it
                    raise ConfigError(
                        f"The model in {self.folder} cannot be loaded: {problem}.",
                        hint="Export it again.",
                        code="model",
                    ) from problem
                tokenizer.enable_truncation(TOKENS)
                self._loaded = (*graphs, tokenizer, told)
            return self._loaded

    def _text(self, text: str) -> Any:
        graph, _, tokenizer, _ = self._load()
        ids = np.array([tokenizer.encode(text).ids or [0]], np.int64)
        given = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        return _unit(graph, {one.name: given[one.name] for one in graph.get_inputs() if one.name in given})

    def _picture(self, picture: bytes) -> Any:
        from PIL import Image

        _, graph, _, told = self._load()
        size = told.get("crop_size") or told.get("size") or 224
        side = size if isinstance(size, int) else size.get("height") or size.get("shortest_edge") or 224
        try:
            with Image.open(io.BytesIO(picture)) as image:
                # The whole page, not its middle: margins and captions count, too.
                pixels = np.asarray(image.convert("RGB").resize((side, side)), np.float32) / 255
        except (OSError, ValueError, Image.DecompressionBombError) as problem:
            raise InvalidInput("This is no picture that can be read.", hint="Give PNG or JPEG.") from problem
        mean, deviation = told.get("image_mean") or MEAN, told.get("image_std") or DEVIATION
        pixels = (pixels - np.asarray(mean, np.float32)) / np.asarray(deviation, np.float32)
        return _unit(graph, {graph.get_inputs()[0].name: pixels.transpose(2, 0, 1)[None].astype(np.float32)})


def _unit(graph: Any, given: dict[str, Any]) -> Any:
    """Return the graph's embedding of the only row, its vectors of length one."""
    names = [one.name for one in graph.get_outputs()]
    chosen = next((name for name in names if "embed" in name), names[0])
    made = np.asarray(graph.run([chosen], given)[0], np.float32)[0]
    return made / np.maximum(np.linalg.norm(made, axis=-1, keepdims=True), 1e-9)
