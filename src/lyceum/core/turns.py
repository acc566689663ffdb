"""A question within a conversation: whether it leans on the turns before, and the same question standing alone. Pure.

Rules for English and Chinese, no model and no index. Search weighs the earlier words (search.history) of every
question that may lean on them, for that costs little where it was not needed; who judges statements by one text
takes `alone`, which adds words only where the question is no whole, for there a wrong word costs answers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from lyceum.core.text import clean, has_cjk
from lyceum.core.types import Message, Query

FEW, FEW_CHARACTERS = 4, 6  # a question with so few words that name something, or Chinese characters, leans
NAMED, NAMED_CHARACTERS = 1, 4  # a pronoun behind more than these has its noun in the same question
BACK, LONGEST = 8, 2_000  # turns of the user that are looked at, and characters of each
TURNS, ADDED = 4, 4  # turns that may lean on each other; words of them in a text that stands alone

FUNCTION = frozenset(
    """a about again all also am an and any are as at be been being but by can could did do does doing for from
    get give got had has have he her him his how i if in into is it its just know let like may me mean
    meant might many more most much must my need no not now of often ok okay on or other our out please
    she should so some such tell than that the their them then there these they this those to too up us
    use using want was we well were what when where whether which while who whom whose why will with
    would yes you your""".split()
)
_word = re.compile(r"[^\W_]+(?:[-.'’][^\W_]+)*")
_year = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")
_name = re.compile(r"(?<=[a-z,] )[A-Z][\w-]*(?: [A-Z][\w-]*)*")
_tail = re.compile(r"(?:\s*[?？。.!！呢])+\s*$")
_lead = re.compile(
    r"^(?:(?:and|but|so|or|then|also|ok(?:ay)?|yes|no|well|what about|how about|i mean(?:t)?)\b[,.:]?\s*|"
    r"(?:那么|那|还有|而且|但是|但|可是|所以|然后|另外|以及|和)[，,]?)+",
    re.I,
)
# What points outside the question; "that" only where it is no conjunction.
_points = re.compile(
    r"\b(?:this|these|those|such|same|former|latter|above|previous|mentioned|else|others|ones|the one|"
    r"(?:of|about|is|was|does|did|do|with|for|like|to|in|on|by|and|all|than|at|after|before) that)\b|"
    r"^that\b|\bthat\W*$|这(?!一?[天年月])|那[个些种样里家位次么]|该(?=[\u4e00-\u9fff])(?<!应该)|上述|前者|后者|呢\W*$",
    re.I,
)
# What points to a word before it, in the question itself where there is one.
_pronoun = re.compile(
    r"\b(?:it|its|he|she|him|hers?|his|they|them|theirs?)\b|(?<!其)[他她它]|其(?![他它余中实次])", re.I
)
_asks = re.compile(
    r"\b(?:what|which|who|whom|whose|where|when|why|how|is|are|was|were|do|does|did|can|could|will|would|should|"
    r"may|must|has|have|had)\b|什么|哪|谁|多少|几|多[久长大高远]|怎|如何|为何|吗|何时|是否|能否",
    re.I,
)
_asking_zh = re.compile(
    r"请问|为什么|什么时候|什么|哪[个些里年天种家位]?|谁|多少|几[个天年月次]|多[久长大高远]|怎么样?|怎样|如何|为何|"
    r"何时|是否|能否|可以|需要|[吗呢吧啊的了是有我你您在]"
)


def content(text: str) -> list[str]:
    """Return the words that name something: no function words in English, no question words in Chinese."""
    if has_cjk(text):
        text = _asking_zh.sub(" ", text)
    return [word for word in _word.findall(text) if word.lower() not in FUNCTION and len(word) > 1]


def dependent(text: str) -> bool:
    """Say whether a question may need what was said before it to be found: any short one may, or any pronoun."""
    return _few(text) or _incomplete(text) or _pronoun.search(text) is not None


def _incomplete(text: str) -> bool:
    """Say whether a question cannot be understood without what was said before it."""
    text = text.strip()
    if _lead.match(text) or _points.search(text) or not _asks.search(text) or _few(text, 1, 2):
        return True
    pronoun = _pronoun.search(text)
    return pronoun is not None and _few(text[: pronoun.start()], NAMED, NAMED_CHARACTERS)


def _few(text: str, words: int = FEW, characters: int = FEW_CHARACTERS) -> bool:
    named = content(text)
    return len("".join(named)) <= characters if has_cjk(text) else len(named) <= words


def asked(history: tuple[Message, ...]) -> list[str]:
    """Return what the user said before, latest first, cut to what is looked at."""
    said = [one.content for one in reversed(history[-4 * BACK :]) if one.role == "user"]
    return [text for one in said[:BACK] if (text := clean(one[:LONGEST]))]


def alone(query: Query) -> Query:
    """Return the query without history: a dependent question with the words it leans on, any other as it is.

    One that asks by itself ("Who approves it?") gains what the turns before named; one that does not ("and in
    2023?") is put behind the question before it, where its year or name takes the place of that one's.
    """
    if not query.history:
        return query
    text = query.text.strip()
    leans = 0 < len(text) <= LONGEST and _incomplete(text)
    if leans and (earlier := list(_leaned(asked(query.history)))):
        text = _joined(_lead.sub("", text).strip() or text, earlier)
    return replace(query, text=text or query.text, history=())


def _leaned(said: list[str]) -> Iterator[str]:
    """Yield the turns back to the first that stands by itself."""
    for text in said[:TURNS]:
        yield text
        if not _incomplete(text):
            return


def _joined(text: str, earlier: list[str]) -> str:
    text, before = _tail.sub("", text), _tail.sub("", earlier[0][:300])
    if not _asks.search(text):
        for known in (_year, _name):
            new, old = known.findall(f"in {text}"), known.findall(before)
            if len(new) == len(old) == 1:
                rest = content(text.replace(new[0], ""))
                return f"{before.replace(old[0], new[0])}{' ' + ' '.join(rest) if rest else ''}?"
        return f"{before} {text}?"
    held = {word.lower() for word in _word.findall(text)}
    words = [word for turn in earlier for word in content(turn) if word.lower() not in held]
    added = " ".join(sorted(dict.fromkeys(words), key=lambda word: not word[0].isupper())[:ADDED])
    return f"{text} {added}?" if added else f"{text}?"
