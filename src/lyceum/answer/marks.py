"""Citation marks in a model's stream: [n] passes when passage n exists, any other mark is dropped. Pure."""

from __future__ import annotations

import re

_mark = re.compile(r"\s?\[(\d+(?:\s*[,，]\s*\d+)*)\]")
LONGEST = 24  # a mark that is not closed within so many characters is text


class Marks:
    """Feed it pieces of text; it gives back what is safe to show, with each passage numbered as first cited."""

    def __init__(self, passages: int) -> None:
        self.passages = passages
        self.cited: list[int] = []
        self.dropped = 0
        self._held = ""

    def feed(self, text: str) -> str:
        """Return the text up to a mark that is still open."""
        self._held += text
        opened = self._held.rfind("[")
        cut = opened if opened >= 0 and "]" not in self._held[opened:] else len(self._held)
        if len(self._held) - cut > LONGEST:
            cut = len(self._held)
        while cut and self._held[cut - 1].isspace():  # a dropped mark takes its space along
            cut -= 1
        ready, self._held = self._held[:cut], self._held[cut:]
        return _mark.sub(self._replace, ready)

    def end(self) -> str:
        """Return what was held back."""
        ready, self._held = self._held, ""
        return _mark.sub(self._replace, ready)

    def _replace(self, match: re.Match[str]) -> str:
        shown = []
        for number in (int(part) for part in re.split(r"[,，]", match.group(1))):
            if not 1 <= number <= self.passages:
                self.dropped += 1
                continue
            if number not in self.cited:
                self.cited.append(number)
            shown.append(f"[{self.cited.index(number) + 1}]")
        return " " + "".join(shown) if shown else ""
