"""Work that must not hold up whoever makes it: items gather, a thread takes what there is; too many are dropped."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Background(Generic[T]):
    """Gives `work` what was `put`, about every `seconds`; at most `most` items wait."""

    def __init__(self, work: Callable[[list[T]], None], most: int = 4096, seconds: float = 1.0) -> None:
        self.work, self.most, self.seconds = work, most, seconds
        self.dropped = 0
        self._items: deque[T] = deque()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def put(self, item: T) -> None:
        """Leave an item to the thread, or drop it where too many wait."""
        if len(self._items) >= self.most:
            self.dropped += 1
            return
        self._items.append(item)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while not self._ended.wait(self.seconds):
            self._some()
        self._some()

    def _some(self) -> None:
        while self._items:
            self.work([self._items.popleft() for _ in range(min(len(self._items), 512))])

    def close(self) -> None:
        """Do what is left, within a few seconds."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(5)
