"""What a question asks for: its parts, the kind of value that would answer it, and whether a text holds one. Pure.

Rules, not a model: they move a statement up or down, they never decide alone.
"""

from __future__ import annotations

import re

_month = (
    r"(?:January|February|March|April|May|June|July|August|September|October|November|December|"
    r"Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)(?![a-z])\.?"
)
DATE = re.compile(
    rf"\d{{4}}\s?年(?:\s?\d{{1,2}}\s?月(?:\s?\d{{1,2}}\s?日)?)?|\d{{1,2}}\s?月(?:\s?\d{{1,2}}\s?日)|"
    rf"\d{{4}}-\d{{2}}-\d{{2}}|\b\d{{1,2}}\s{_month}(?:\s\d{{4}}\b)?|"
    rf"\b{_month}\s(?:\d{{1,2}}\b(?:,?\s\d{{4}}\b)?|\d{{4}}\b)|\b(?:19|20)\d{{2}}\b"
)
_written = "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|twenty|thirty|forty|fifty|sixty|ninety"  # noqa: E501
_figure = rf"(?:\d[\d,.]*|\b(?:{_written}|half an?|an?)\b|[一二三四五六七八九十百千两半])"
# A count without "a" and "an"; a Chinese numeral only before what is counted (一台, 三十吨, not 统一).
_count = (
    rf"(?:\d[\d,.]*|\b(?:{_written}|half an?)\b|"
    r"[一二三四五六七八九十百千两半]+"
    r"(?=[个台人次件名种项位只辆家份步条层天年月日周度米公厘毫千克斤吨支箱托盘小分秒元套号万亿倍至%％]))"
)
_moment = (
    r"\d{1,2}[:：]\d{2}|\d{1,2}\s?点|o'clock|\b(?:a\.m\.|p\.m\.|noon|midnight)|(?:周|星期)[一二三四五六日天]|每月|每年|"
    r"\b(?:mon|tues|wednes|thurs|fri|satur|sun)days?\b|"
    r"\b(?:immediately|at once|every|daily|weekly|monthly|quarterly)\b"
)
# Hours and parts of a day or a year, as a date is told without figures.
_clock = (
    rf"\bat (?:{_written}|\d{{1,2}})\b(?!\s?%|[.,]\d)|\d\s?[ap]m\b|"
    r"\b(?:mornings?|afternoons?|evenings?|nights?|dawn|dusk|sunrise|sunset|spring|summer|autumn|winter|"
    r"today|tomorrow|yesterday|christmas|easter|always|never)\b|"
    r"早上|早晨|上午|中午|下午|傍晚|晚上|夜间|凌晨|今天|明天|昨天|春节|春季|夏季|秋季|冬季|[春夏秋冬]天"
)
_length = r"(?:[kcm]?m|ft|(?:kilo|centi|milli)?met(?:er|re)s?|feet|foot|inch(?:es)?|miles?|yards?|fathoms?|pages?)\b"
# Years before 1900, centuries and conditions: only where a date is asked for; 1,250 of something is as likely.
_past = (
    rf"\b1\d{{3}}s?\b(?![,.]\d)|\b\d{{3}}0s\b|\bcentur(?:y|ies)\b|\d年|世[纪紀]|年代|\bin {_month}|"
    r"\b(?:if|until|whenever|once|as soon as|after|before)\b|[时後后前][，,]"
)
_price = r"\b(?:cost|price|fee|fare|salary|salaries|budget|fine|amount|turnover|revenue)s?\b"
# Words with which sentences open, in capitals without being names.
_opening = "The|An?|In|On|At|Its?|Th[ei]s|These|Those|That|He|She|They|For|When|If|After|Each|All|By|To|From|As|No|Every|During|There|With|And|But|His|Her|Their|Our|Your|Any|Only|Some|Most|Of|Before|Since|Until|While"  # noqa: E501


def _regex(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.I)


# Kind of value: words of a question that ask for it, and what a statement with such a value looks like. The
# first kind whose words stand in the question counts.
KINDS: dict[str, tuple[re.Pattern[str], re.Pattern[str]]] = {
    "phone": (
        _regex(r"\b(?:(?:tele)?phone|mobile|hotline|fax) number\b|\bdial\b|\bwhat(?:'s| is| are)\b.*"
               r"(?<!contract )(?<!lease )(?<!deadline )(?<!visa )"
               r"\b(?:phone|telephone|extension|hotline)(?= of\b| for\b|\W*$)|"
               r"(?:电话|分机|手机|热线)号?码?(?:[是为]|多少|几|什么|[？?]|$)|"
               r"(?:什么|哪个|哪条|多少号?)(?:的)?(?:电话|分机|热线)|手机号"),
        _regex(r"(?<![\d-])(?!\d{4}-\d\d-\d\d)\+?\d[\d\s-]{5,}\d|(?:\bext(?:ension|\.)?|\b(?:phone|call|dial)|分机|电话|拨打?)\W*\d{3}"),
    ),
    "weight": (
        _regex(r"\b(?:how heavy|weighs?|weight)\b|多重|重量|多少(?:公斤|千克|克|吨)"),
        _regex(rf"{_count}\s?(?:(?:kg|g|t|tonnes?|kilos?|grams?)\b|公斤|千克|克|吨|斤)|weight|重量"),
    ),
    "temperature": (
        _regex(r"\bhow (?:cold|hot|warm)\b|\b(?:what|which|the|highest|lowest|maximum|minimum) temperature"
               r"(?= (?:is|was|must|should|of|in|at|for|does|do|can|may)\b)|"
               r"多少(?:摄氏)?度|温度(?:是|为|要|应|不|最?多?[高低少])"),
        _regex(rf"{_figure}\s?(?:°|℃|degrees?|摄氏度|度)|temperature|温度"),
    ),
    "distance": (
        _regex(r"\bhow (?:far(?! ahead| in advance)|tall|wide|deep)\b|\bdistance\b|"
               r"多远|(?<!温度)多高|多宽|多深|多少(?:米|公里|厘米|毫米)"),
        _regex(rf"{_count}\s?(?:(?:km|m|cm|mm|metres?|meters?|kilomet\w+)\b|公里|千米|米|厘米|毫米)"),
    ),
    "share": (
        _regex(r"\b(?:percent(?:age)?|what share|what proportion)\b|百分之|百分比|比例|几成"),
        _regex(r"%|per ?cent|百分之|成\b|share|proportion|比例"),
    ),
    "money": (
        _regex(r"\bhow much\b.*\b(?:cost|pay|paid|price|spend|spent|charge|reimburse|money|claim|worth|earn|invest)|"
               rf"\bwhat(?:'s| is| are| was| were) (?:[\w-]+ ){{0,4}}{_price}|"
               rf"\b(?:what|which) (?:[\w-]+ )?{_price}(?! (?:are|is|must|can|do|does)\b)|"
               r"\bwhat (?:does|do|did|will|would)\b.*\b(?:cost|charge)\b|"
               r"多少钱|多少元|多少费用|(?:价格?|单价|费用?|工资|年薪)[是为]?(?:多少|几)|什么价|几块钱|几元"),
        _regex(r"(?:[$€£¥]|\b(?:EUR|USD|CNY|RMB|GBP|NOK)\b\W?)\s?\d|"
               r"\d[\d,.]*\s?(?:thousand|million|billion|万|亿|k)?\s?(?:元|美元|欧元|(?:euros?|dollars?|yuan|EUR|USD|CNY|RMB|GBP|NOK)\b)|"
               rf"\bfree\b|免费|{_price}\D{{0,40}}\d|\d\D{{0,20}}{_price}|[元价费款薪][^\d，。]{{0,8}}\d"),
    ),
    "date": (
        _regex(r"^when\b|[,;] ?when\b|\bwhen (?:do|does|did|is|are|was|were|will|must|should|can|may|has|have|had)\b|"
               r"\b(?:what|which) (?:date|day|year|month|time)\b|\b(?:by|since|until) when\b|"
               r"何时|什么时候|什么时间|哪天|哪一天|哪年|哪一年|几月|几号(?![窗楼门线厂机库月])|什么日期|几点"),
        _regex(rf"{DATE.pattern}|{_past}|{_moment}|{_clock}|"
               rf"{_figure}[\s-]?(?:\w+ )?(?:days?|weeks?|months?|天|日|周|个月)"),
    ),
    "duration": (
        _regex(r"\bhow (?:long|soon|quickly|often|old)\b|\b(?:what|which) (?:period|deadline|notice|interval)\b|"
               r"多久|多长时间|时长|期限|几(?:个)?(?:天|月|年|小时|分钟|周)|多少(?:个)?(?:天|月|年|小时|分钟|周|工作日)"),
        _regex(rf"{_figure}[\s-]?(?:\w+[\s-])?(?:seconds?|minutes?|hours?|days?|weeks?|months?|quarters?|years?)\b|{_moment}|"
               rf"{_figure}\s?{_length}|"
               r"[\d一二三四五六七八九十百两半]\s?[多余餘]?[个個]?半?(?:秒|分钟|小时|工作日|天|日|周|月|年|班)|\b(?:once|twice|per|immediately)\b|每"),
    ),
    "number": (
        _regex(r"\bhow (?:many|much|big|large|late|fast)\b|\bwhat (?:number|quantity|size|capacity)\b|"
               r"多少|几[个台人次件名种项位只辆家份步条层]|多大"),
        _regex(rf"{_count}(?!些)|\b(?:hundred|thousand|million|none|no)\b"),
    ),
    "name": (
        _regex(r"\bwho(?:m|se)?\b|\bwhich person\b"),
        re.compile(rf"(?!(?:{_opening})\b)\b[A-ZÀ-Þ][\w'’]+\b(?!-\d)|\b\w\w+(?:[eo]r|ist|ian|ee)s?\b|\b(?:staff|team|head|chair|people|you|we)\b|"
                   r"[\u4e00-\u9fff]"),
    ),
}  # fmt: skip
NUMERIC = frozenset(KINDS) - {"date", "name", ""}

# What a question is particular about: codes and numbers, acronyms, names (also Latin ones in Chinese text).
_detail = re.compile(
    r"(?<![A-Za-z0-9])(?:(?=[A-Za-z-]*\d)[A-Za-z0-9]+(?:[-.][A-Za-z0-9]+)*(?![\d.]*[月日号])|[A-Z][A-Za-z]+)"
)
_word = re.compile(r"[^\W_]+")
_grouped = re.compile(r"(?<=\d),(?=\d{3})")
_edition = re.compile(
    r"\b(?:version|edition)\s\d+(?![\d.]*\.\d)|第\s?\d+\s?版", re.I
)  # `current` looks at these
_wh = r"(?:(?:in|on|at|by|to|for|from|with|of|until|since|under)\s)?(?:what|how|whom?|whose|when|where|which)"
_asking = rf"(?:{_wh}|why|is|are|does|do|did|can|may|must)\b"
_also = re.compile(r",?\s+as well as\s+", re.I)
_join = re.compile(rf",?\s+and\s+(?={_asking})|[?;.]\s+(?:and\s+)?(?={_asking})", re.I)
_asks = re.compile(rf"(?:^|[,;]\s|\b(?:and|me|know)\s){_asking}", re.I)
# One question about two things: "... of A and of B", "... A as well as B", "A和B分别是多少".
_shared = re.compile(r"(.*?\bof )(.+?) and of (.+?)(\??)$", re.I)
_shared_zh = re.compile(r"(.{2,}?)(?:以及|和|与|及)(.{2,}?)[，,]?(?:分别|各)(.+)$")
_joins_zh = [re.compile(rf"[{marks}](?=[^{marks}]{{3,}})") for marks in ("？?；;", "？?；;，,")]
_back = re.compile(
    r"\b(?:he|she|him|her|his|hers|its?|they|them|their|this|that|these|those|one|there)\b|"
    r"(?<!其)[他她它]|这[个位些家台件项种]?|(?<!应)该|(?<![因如在从由])此|其(?![他它余中实次])|那[个位家]",
    re.I,
)
_some = re.compile(r"\w")
_asks_zh = re.compile(r"什么|哪|谁|多少|几|多久|多长|多大|多高|怎么|如何|为何|吗|何时|是否")


def kind(question: str) -> str:
    """Return the kind of value that is asked for, by the question's own words; "" when they do not tell."""
    return next((name for name, (asks, _) in KINDS.items() if asks.search(question)), "")


def mismatch(wanted: str, text: str, question: str = "") -> bool:
    """Say that a text holds no value of the wanted kind.

    The figures of a date are no number; a name that stands in the question answers nobody's "who".
    """
    if wanted == "number":
        text = DATE.sub(" ", text)
    elif wanted == "name":
        held = set(_word.findall(question.lower()))
        text = _word.sub(lambda match: "" if match.group().lower() in held else match.group(), text)
    return wanted in KINDS and KINDS[wanted][1].search(text) is None


def details(text: str) -> list[str]:
    """Return codes, numbers, acronyms and names of a text; a sentence's first word is capitalised anyway."""
    text = _edition.sub("", _grouped.sub("", text))
    found = [(text[: match.start()].rstrip()[-1:], match.group()) for match in _detail.finditer(text)]
    return [
        word for before, word in found if before not in ("", *".?!") or not word.isalpha() or word.isupper()
    ]


def parts(question: str) -> list[str]:
    """Return a question that asks two things as its two questions, any other as itself."""
    if shared := _shared.match(question):
        head, first, second, tail = shared.groups()
        return [f"{head}{first}{tail}", f"{head}{second}{tail}"]
    if shared := _shared_zh.match(question):
        first, second, tail = shared.groups()
        return [f"{first}{tail}", f"{second}{tail}"]
    for join, asks in ((_also, _some), (_join, _asks), *((join, _asks_zh) for join in _joins_zh)):
        found = [part.strip() for part in join.split(question) if part.strip()]
        if len(found) == 2 and all(asks.search(part) for part in found):
            return found
    return [question]


def refers_back(question: str) -> bool:
    """Say whether a question speaks of something that was named before it."""
    return _back.search(question) is not None
