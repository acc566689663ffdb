"""What a question is made of, and the values that questions ask for, in English and Chinese."""

from __future__ import annotations

import re
from dataclasses import dataclass

NUMBER = (
    r"(?:\d[\d,.]*\d|\d|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|twenty|thirty)"
)
MONTH = r"(?:January|February|March|April|May|June|July|August|September|October|November|December)"
DATE = rf"(?:(?:\d{{1,2}} )?{MONTH}(?: \d{{1,2}},)? \d{{4}}|\d{{4}}-\d\d-\d\d)"
MONEY = r"(?:(?:EUR|USD|GBP|CAD|CHF|RMB|CNY|[$€£¥]) ?\d(?:[\d,.]*\d)?(?: (?:million|billion|thousand))?)"
TIME = r"(?:working |calendar )?(?:second|minute|hour|day|week|month|year)s?"
DURATION = rf"(?:{NUMBER} {TIME}(?: and {NUMBER} {TIME})?)"
NAME = r"(?:[A-Z][\w'’.-]+(?: (?:van |von |de |der )?[A-Z][\w'’-]+){1,3})"
ROLE = (
    r"(?:manager|officer|head|owner|author|editor|trainer|contact|keeper|responsible|person|chair|leader|agent|"
    r"supervisor|landlord|tenant|adviser|approver|auditor|deputy|director|buyer|insurer|ombudsman)"
)
ROLE_ZH = r"(?:人|长|员|主管|经理|主任|主席|指挥|编辑|作者|编写|审核|撰写|编制|专家)"
ARTICLES = ("The", "A", "An", "Each", "Every", "One")


@dataclass(slots=True, kw_only=True)
class Fact:
    """One value: `ask` needs its document's name, and the heading `under` it, when it is `vague`.

    No `answer` says that the table lacks it: `about` are the words for what is lacking. `also` are other spellings,
    `text` holds the value as it stands in the source; `spoilt` is set when the question has another answer elsewhere.
    """

    ask: str
    kind: str
    answer: str = ""
    also: tuple[str, ...] = ()
    text: str = ""
    page: int | None = None
    vague: bool = False
    under: str = ""
    about: tuple[str, ...] = ()
    spoilt: bool = False


def lowered(words: str) -> str:
    """Return words as they stand inside a sentence: names and abbreviations keep their capitals."""
    first, space, rest = words.partition(" ")
    if first in ARTICLES:
        return first.lower() + space + rest
    named = rest[:1].isupper() or re.match(r"[\w-]*\d", rest) or not first[1:].islower()
    return words if named else first.lower() + space + rest
