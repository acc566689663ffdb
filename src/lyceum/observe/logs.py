"""A line of JSON for each call to a model, in a file that is kept from growing; contents only where asked for."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path

import orjson

from lyceum.observe.background import Background
from lyceum.observe.calls import Ended

log = logging.getLogger(__name__)
FACTS = ("target", "attempts", "cache", "cost", "queued", "hedged")


class Logs:
    """Writes to `file` in the home; at `megabytes` it becomes FILE.1, and the one before is gone."""

    def __init__(
        self, folder: Path, file: str = "calls.jsonl", megabytes: float = 100, contents: bool = False
    ) -> None:
        assert megabytes > 0, megabytes
        self.path, self.most, self.contents = folder / file, megabytes * 1e6, contents
        self._writing = Background[Ended](self._write, most=1 << 16)

    def __call__(self, one: Ended) -> None:
        """Leave a call to be written."""
        self._writing.put(one)

    def _write(self, some: list[Ended]) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                file.write(b"".join(self._line(one) for one in some))
                size = file.tell()
            if size > self.most:
                self.path.replace(self.path.with_name(f"{self.path.name}.1"))
        except OSError as problem:
            log.warning("%d calls were not written to %s: %s", len(some), self.path, problem)

    def _line(self, one: Ended) -> bytes:
        said = {
            "time": datetime.fromtimestamp(one.start, UTC).isoformat(timespec="milliseconds"),
            "path": one.path, "model": one.model, "tenant": one.tenant, "key": one.key, "stream": one.stream,
            "status": one.status, "outcome": one.outcome, "error": one.error, "seconds": round(one.seconds, 6),
            "first_token_seconds": round(one.first, 6), "pieces": one.pieces,
            "input_tokens": one.input, "cached_tokens": one.cached, "output_tokens": one.output,
            **{name: one.facts[name] for name in FACTS if name in one.facts},
        }  # fmt: skip
        if self.contents:
            said |= {
                "asked": one.asked.decode("utf-8", "replace"),
                "said": one.said.decode("utf-8", "replace"),
            }
        return orjson.dumps(said, option=orjson.OPT_APPEND_NEWLINE)

    def close(self) -> None:
        """Write what is left."""
        self._writing.close()
