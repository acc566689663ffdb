"""Sentences and headings to facts: a number, date, name or definition, asked by what stands around it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from lyceum.core.text import has_cjk, sentences, squeeze
from lyceum.core.types import Element
from lyceum.evals.facts import DATE, DURATION, MONEY, NAME, NUMBER, ROLE, ROLE_ZH, Fact, lowered

SUBJECT = r"(?P<s>[A-Z][^,;:()“”\"]{2,70}?)"
BE = r"(?P<be>is|are|was|were)"
ABOUT = r"(?:about |at most |at least |up to |only |exactly )?"
DONE = r"(?P<done>\w+(?:ed|en|de|ne|wn|un|lt|pt|ld|ht)(?: (?!and\b)[a-z]\w*){0,3}?)"
REGULAR = (
    "accept cost cover contain include require reach serve support weigh carry employ open close start end expire "
    "produce store deliver use charge cure measure publish transmit need receive last"
)
IRREGULAR = {
    "take": "took", "hold": "held", "have": "had", "pay": "paid", "begin": "began", "run": "ran", "build": "built",
    "keep": "kept", "make": "made", "find": "found", "leave": "left",
}  # fmt: skip


def _forms() -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield each form of a verb with its auxiliary and its infinitive."""
    for base in (*REGULAR.split(), *IRREGULAR):
        third = "has" if base == "have" else re.sub("ry$", "rie", re.sub("(ch|sh)$", r"\1e", base)) + "s"
        yield base, ("do", base)
        yield third, ("does", base)
        yield IRREGULAR.get(base) or re.sub("ry$", "ri", base).removesuffix("e") + "ed", ("did", base)


FORMS = dict(_forms())
VERB = rf"(?P<v>{'|'.join(sorted(FORMS, key=len, reverse=True))})"
COUNTED = r"(?P<n>(?!percent|million|of\b|or\b)[a-z][\w-]+(?: (?!and\b|or\b)[a-z]\w+){0,3})(?=[.,;]|$| until | when )"
# A pattern after the subject, its question, and what must not come a second time in the sentence.
RULES = tuple(
    (re.compile(rf"{SUBJECT} {pattern}"), question, re.compile(value))
    for pattern, question, value in (
        (rf"{BE} {ABOUT}(?P<a>{MONEY})", "How much {be} {s}?", MONEY),
        (rf"{BE} {ABOUT}(?P<a>{DURATION})", "How long {be} {s}?", DURATION),
        (rf"{BE} (?P<a>{NAME})(?=[.,;]|$)", "Who {be} {s}?", NAME),
        (rf"{BE} {DONE} by (?P<a>{NAME})(?=[.,;]| in |$)", "Who {be} {s} {done} by?", NAME),
        (rf"{BE} {DONE} on (?P<a>{DATE})", "When {be} {s} {done}?", DATE),
        (rf"{BE} {DONE} for {ABOUT}(?P<a>{DURATION})", "For how long {be} {s} {done}?", DURATION),
        (rf"{BE} {DONE} within (?P<a>{DURATION})", "Within what time {be} {s} {done}?", DURATION),
        (
            rf"(?P<m>must|may|can|will) be {DONE} within (?P<a>{DURATION})",
            "Within what time {m} {s} be {done}?", DURATION,
        ),
        (rf"takes place on (?P<a>{DATE})", "When does {s} take place?", DATE),
        (rf"(?P<v>costs?) {ABOUT}(?P<a>{MONEY})", "How much {do} {s} cost?", MONEY),
        (
            rf"(?P<v>lasts?|takes?|took|lasted|runs?|cures?) (?:for |in )?{ABOUT}(?P<a>{DURATION})",
            "How long {do} {s} {base}?", DURATION,
        ),
        (rf"(?P<v>expires?|ends?|closes?) after (?P<a>{DURATION})", "After how long {do} {s} {base}?", DURATION),
        (rf"{VERB} on (?P<a>{DATE})", "When {do} {s} {base}?", DATE),
        (rf"{VERB} within (?P<a>{DURATION})", "Within what time {do} {s} {base}?", DURATION),
        (rf"{VERB} {ABOUT}(?P<a>{NUMBER}) {COUNTED}", "How many {n} {do} {s} {base}?", NUMBER),
        (rf"{BE} (?P<a>an? (?!lot|few|sign)[^.,;]{{8,80}})", "What {be} {s}?", "$^"),
        (r"means? (?!that)(?P<a>[^.;]{8,90})", "What {do} {s} mean?", "$^"),
    )
)  # fmt: skip
# A sentence that begins so needs the one before it, or says when rather than what.
LOOSE = re.compile(
    r"(?:It|Its|They|Their|He|His|She|Her|This|That|These|Those|There|We|You|I|Who|What|Which|One|Some|Most|Both|"
    r"Another|In|On|At|For|From|With|After|Before|During|If|When|While|Since|By|As|To|Because|Although|Between|Where|"
    r"Under|And|But|Or|So|Then|First|Second|Third|Only|Not|No|How|Here|Near|About|All others|The same)\b"
)
CLAUSE = re.compile(
    r"\b(?:that|which|who|and|but|also|by|because|is|are|was|were|has|have|must|may|can|will|shall|should)\b"
)
FOLLOWS = re.compile(r"['’]| (?:to|and|or|of|times|percent|in advance)\b")
LABEL = re.compile(rf"(?P<l>[A-Z][a-z]+(?: [a-z]+){{0,4}}): (?P<a>{NAME})(?=[.,;]|$)")
ENTRY = re.compile(r"(?P<l>[A-Z]\w+(?: \w+){0,3}): (?P<a>(?=.*\d)[\w ,.%/+°€$£’-]{2,60}?)\.?$")
HEADED = re.compile(rf"(?P<l>.{{3,60}}?[^:,\s]),? (?P<a>{DATE})$")

UNITS = (
    "个工作日|个月|小时|分钟|秒|天|周岁|周|年|万元|元|摄氏度|度|平方米|立方米|公里|公斤|米|毫米|吨|千瓦|伏|瓦|安培|人|名|"
    "台|只|份|次|升|岁|分|套|辆|项|支|根|件|层|条|箱|块|起|家|位|倍|个|字节|兆字节"
)
COUNT = r"(?:\d[\d,.]*|[一二三四五六七八九十两百千]+)"
# 一个, 两个 and 十分 say little; so many days, months or degrees are numbers in words, too.
VALUE_ZH = re.compile(
    r"(?P<every>每)?(?P<a>(?![一两](?!个工作日|个月|小时|周|米|年内)|十分)(?:零下|零上)?(?<![\dA-Za-z.\-:：第同])"
    rf"{COUNT}(?:[至到~]{COUNT})?(?:万|亿)?(?:(?P<u>{UNITS})|(?P<p>[%％])))(?![以多之贝间])"
)
DATE_ZH = re.compile(r"(?P<a>\d{4}年(?:\d{1,2}月(?:\d{1,2}日)?)?)")
BY_ZH = re.compile(
    r"由(?P<a>(?:(?![在于按])[\u4e00-\u9fff]){2,14})(?<!的)(?=负责|承担|签发|签字|批准|维护(?!者)|仲裁|担任|带领)"
)
NAME_ZH = r"(?P<a>[\u4e00-\u9fff]{2,10}(?: [\u4e00-\u9fff]{2,3}(?=[。；，]|$))?)"
IS_ZH = re.compile(
    rf"(?P<l>(?:(?![由于这不])[\u4e00-\u9fff]){{1,8}}{ROLE_ZH})(?:为|是|：){NAME_ZH}(?=[，。；]|$)"
)
MEANS_ZH = re.compile(r"(?P<l>[^，。]{2,20})是指(?![向定出示导])(?P<a>[^。]{4,60})")
LOOSE_ZH = re.compile(
    r"其中|同时|另|此外|如果|但|并|否则|该|其|这|它|他|她|因此|所以|然后|以及|和|或|超过|低于|高于|逾期|编号|也就是|任何|整个|通过|在|例如|我|你|有人|可能|大概|对于|最近|当前"
)
OPEN_ZH = re.compile(r"的.{0,4}$")  # the clause is only the condition of the next one


def facts(element: Element, path: Sequence[str]) -> Iterator[Fact]:
    """Yield at most one fact a sentence."""
    if element.kind == "heading":
        if found := HEADED.fullmatch(squeeze(element.text)):
            ask = f"What is the date of {found['l']}?"
            page = element.place.page
            yield Fact(ask=ask, kind="heading", answer=found["a"], text=element.text, page=page, vague=True)
        return
    for left, right in sentences(element.text):
        raw = element.text[left:right]
        sentence = squeeze(raw).lstrip("-•*·> ")
        if sentence.endswith(("?", "？")):
            continue
        fact = _chinese(sentence) if has_cjk(sentence) else _english(sentence, path)
        if fact:
            place = next((one.place for one in element.pieces if one.end > left), element.place)
            fact.text, fact.page = raw, place.page or element.place.page
            fact.also = tuple(re.findall(r"^an? (.+)", fact.answer))
            yield fact


def _english(sentence: str, path: Sequence[str]) -> Fact | None:
    if found := LABEL.match(sentence):
        ask = f"Who is the {lowered(found['l'])}?"
        asked = re.search(rf"\b{ROLE}\b", found["l"], re.IGNORECASE)
        return Fact(ask=ask, kind="name", answer=found["a"], vague=True) if asked else None
    if (found := ENTRY.fullmatch(sentence)) and path:
        under = path[-1] if len(path) > 1 else ""
        ask = f"What is said about “{found['l']}”?"
        return Fact(ask=ask, kind="heading", answer=found["a"], vague=True, under=under)
    if LOOSE.match(sentence):
        return None
    for pattern, question, value in RULES:
        found = pattern.match(sentence)
        if found and _sound(found, sentence, question, value):
            return _asked(found, question)
    return None


def _sound(found: re.Match[str], sentence: str, question: str, value: re.Pattern[str]) -> bool:
    """Say whether the subject is one thing and the value the only one of its sort."""
    subject, rest = found["s"], sentence[found.end() :]
    if len(subject.split()) > 8 or CLAUSE.search(subject) or FOLLOWS.match(rest) or value.search(rest):
        return False
    if question == "Who {be} {s}?":
        return re.search(rf"\b{ROLE}\b", subject, re.IGNORECASE) is not None
    return question != "What {be} {s}?" or re.search(r"[A-Z0-9]", lowered(subject)) is not None


def _asked(found: re.Match[str], question: str) -> Fact:
    do, base = FORMS.get(found.groupdict().get("v") or "", ("does", ""))
    subject = lowered(found["s"])
    if question == "Who {be} {s}?" and not re.match(r"the |an? |[A-Z]", subject):
        subject = f"the {subject}"
    ask = question.format(**{**found.groupdict(), "s": subject, "do": do, "base": base})
    kinds = {"Who": "name", "When": "date", "What": "definition"}
    kind = kinds.get(question.partition(" {")[0], "number")
    return Fact(ask=ask, kind=kind, answer=found["a"], vague=not re.search(r"[A-Z0-9]", subject))


def _chinese(sentence: str) -> Fact | None:
    for pattern, asked, kind in ((MEANS_ZH, "是指什么", "definition"), (IS_ZH, "是谁", "name")):
        if found := pattern.match(sentence):
            return Fact(ask=f"{found['l']}{asked}？", kind=kind, answer=found["a"], vague=True)
    for found, put, kind in (
        *((one, "由谁", "name") for one in BY_ZH.finditer(sentence)),
        *((one, "什么时候", "date") for one in DATE_ZH.finditer(sentence)),
        *((one, _put(one), "number") for one in VALUE_ZH.finditer(sentence)),
    ):
        after, mark = re.match("([^，。；：]*)(.?)", sentence[found.end() :]).groups()  # type: ignore[union-attr]
        before = sentence[: found.start()]
        if mark and mark != "：" and _whole(before, after):
            vague = not re.search("[A-Za-z]{3}", before + after)
            return Fact(ask=f"{before}{put}{after}？", kind=kind, answer=found["a"], vague=vague)
    return None


def _whole(before: str, after: str) -> bool:
    """Say whether a clause stands by itself and holds no other number than the one that is asked for."""
    rest = f"{before}～{after}"
    return not (
        LOOSE_ZH.match(before)
        or OPEN_ZH.search(after)
        or re.fullmatch(r".{1,4}(?:不超过|不低于|不少于|至少|最多|超过|达到)", before)
        or after.startswith("、")
        or re.search(r'[|()（）："？]', rest)
        or not 3 <= len(before) <= 36
        or re.search(r"(?<![A-Za-z\-\d])\d", rest)
        or re.search(COUNT + f"(?:{UNITS})", rest)
    )


def _put(found: re.Match[str]) -> str:
    """Return the question word for a number: 每18个月 is 每隔多久, 12天 is 多少天."""
    if found["every"]:
        return "每隔多久"
    return "百分之多少" if found["p"] else f"{'几' if found['u'].startswith('个') else '多少'}{found['u']}"
