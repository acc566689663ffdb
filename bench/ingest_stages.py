"""Where the CPU of ingesting goes: the platform in this process, each part's own work timed by thread.

Used by `ingest.py --stages`. Parsing is the child's CPU; what no part claims (imports, event loop, unpacking what
the child sends) is "else".
"""

from __future__ import annotations

import os
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lyceum import wire
from lyceum.core.trace import tracing
from lyceum.ingest.pipeline import jobs


class Stages:
    """CPU seconds by name; work inside other work is counted once, by the inner name."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()

    def timed(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            started = time.thread_time()
            try:
                return work(*args, **kwargs)
            finally:
                self.seconds[name] += time.thread_time() - started

        return run

    def attach(self, platform: wire.Platform) -> None:
        """Time the parts of a platform."""
        ledger, ingest = platform.store.ledger, platform.ingest
        for name, holder, method in (
            ("commit", ledger, "_write"), ("read back", ledger, "_changes"), ("hash", ingest, "_version"),
        ):  # fmt: skip
            setattr(holder, method, self.timed(name, getattr(holder, method)))
        views = [one for view in platform.store.views for one in getattr(view, "indexes", (view,))]
        for view in views:
            view._apply = self.timed(f"index {view.name.split('-')[0]}", view._apply)  # type: ignore[attr-defined]
        encoder: Any = getattr(platform.embedder, "embedder", platform.embedder)
        encoder.encode = self.timed("encode", encoder.encode)
        splitter = platform.ingest.splitter
        platform.ingest.splitter = _Named(splitter.name, self.timed("split", splitter))


class _Named:
    def __init__(self, name: str, work: Callable[..., Any]) -> None:
        self.name, self.work = name, work

    def __call__(self, *args: Any) -> Any:
        return self.work(*args)


async def run(files: Sequence[Path]) -> None:
    """Ingest the files once and print the table."""
    stages = Stages()
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.process_time()
    with tempfile.TemporaryDirectory() as home:
        models = wire.models_folder(os.environ.get("LYCEUM_MODELS", ""))
        platform = wire.build(wire.DEFAULTS, Path(home), models)
        stages.attach(platform)
        with tracing(platform.spans):
            await platform.ingest(jobs(files))
        await platform.close()
    own = time.process_time() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    parse = after.ru_utime + after.ru_stime - children.ru_utime - children.ru_stime
    rows = {"parse (child)": parse, **stages.seconds, "else": own - sum(stages.seconds.values())}
    for name, spent in sorted(rows.items(), key=lambda row: -row[1]):
        print(f"{name:18} {spent:7.2f} CPU s  {spent / (own + parse):6.1%}")
