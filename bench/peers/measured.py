"""What the peers' scripts share: CPU seconds by stage, and the one line of JSON that goes back to the bench.

Arguments: a JSON file {files, model, every}. `every` n gives the encoder every nth chunk; its CPU seconds are
then multiplied by n. Only the standard library, for each peer has an environment of its own.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TOKENS = 256  # what the encoder reads of a text


class Measured:
    """CPU seconds of this process by stage; starts when it is made, before the peer is imported."""

    def __init__(self) -> None:
        self.job: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
        self.seconds: dict[str, float] = {}
        self.files = [Path(file) for file in self.job["files"]]

    @contextmanager
    def stage(self, name: str, times: float = 1) -> Iterator[None]:
        """Add a block's CPU seconds to a stage, multiplied where only a part of the work is done."""
        started = time.process_time()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + (time.process_time() - started) * times

    def some(self, chunks: Sequence[Any]) -> tuple[list[Any], float]:
        """Return every nth chunk and by what its cost is to be multiplied."""
        chosen = list(chunks[:: self.job["every"]])
        return chosen, len(chunks) / max(len(chosen), 1)

    def done(self, texts: Sequence[str], read: set[str], heard: str = "") -> None:
        """Count tokens (outside the measured stages) and print what was measured; `read` are paths with text."""
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(os.path.join(self.job["model"], "tokenizer.json"))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        for folder in {str(file.parent) for file in self.files}:
            heard = heard.replace(folder + os.sep, "")
        lengths = [len(tokenizer.encode(text).ids) for text in texts]
        found = {
            "seconds": self.seconds, "chunks": len(texts), "tokens": sum(lengths),
            "embedded": sum(min(length, TOKENS) for length in lengths),
            "without_text": [file.name for file in self.files if str(file) not in read], "heard": heard[-2000:],
        }  # fmt: skip
        print(json.dumps(found))
