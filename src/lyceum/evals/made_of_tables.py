"""Tables to facts: the value that a row has in a column, asked by the row's label; and what a table does not hold."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from lyceum.core.text import has_cjk, squeeze
from lyceum.core.types import Element, Table
from lyceum.evals.facts import NAME, ROLE, ROLE_ZH, Fact

Found = Sequence[tuple[Element, tuple[str, ...]]]
ALIKE = 3  # more tables with one key are about many things: what one lacks does not fit the rows of another
EMPTY = ("", "-", "–", "—", "none", "n/a", "yes", "no", "无", "是", "否")
UNIT = re.compile(r"^(.+?)[ _]*(?:[(（](.+)[)）]|\b(EUR|USD|CAD|GBP|RMB|CNY|m2|kg|km|°C|c))$")
CODE = re.compile(r"[\w./-]*\d[\w./-]*|[A-Z]")
VALUE = re.compile(r"[-+±<>≤≥]?\s?(?:[€$£¥]|EUR |USD |GBP )?\d|\d{4}[-年]")
DATED = re.compile(r"\d{4}[-年/]\d|.*\b(?:19|20)\d\d$")
PLURAL = re.compile(r"[a-z][^\Wsu]s$")
PERIOD = re.compile(r"(?:Q[1-4] |H[12] |FY ?|[Yy]ear )?(?:19|20)\d\d|\d{1,2}月|第[一二三四]季度")
# Columns that are no noun, or that say little by their name alone.
ODD = re.compile(
    r"(?:at|for|from|to|by|in|is|with|per|may|can|must|used?|uses|fits)\b.*|.*\b(?:may|be|since)\b.*|[\w ]*est|\d.*|"
    r"(?:note|remark|comment|example)s?|no\.?|ends|number|index|image|link|url|role|unit|pack|opened|installed|destroyed|"
    r"[a-z]?\d*|(?:tab|header|column|col|field)\W*\w?\d*|备注|说明|.*是否.*|处理|单位|序号",
    re.IGNORECASE,
)
THING = re.compile(
    r"(?:.* )?(?:customer|supplier|carrier|country|city|site|gateway|logger|model|place|region|provider)"
)
BARE = re.compile(
    r"product|model|item|article|name|title|sensor|site|supplier|产品|型号|.*名称|供应商|项目", re.IGNORECASE
)
NAMING = re.compile(BARE.pattern + r"|service|action|task|description|现象|服务|活动", re.IGNORECASE)
VAGUE = re.compile(
    r"(?:.* )?(?:amount|share|change|decision|status|date|value|type|total|place|time|hours|cost|function|"
    r"extension)\b.*|.*地点|数量|金额|日期|标准|周期|原因|现象",
    re.IGNORECASE,
)
WHAT_ZH = (
    (re.compile(".*(?:地点|位置|城市|地址)"), "是哪里"),
    (re.compile(".*(?:供应商|机构|公司|银行)"), "是哪家"),
    (re.compile(".*(?:方式|型号|号|代码|名称)"), "是什么"),
)


def facts(tables: Found) -> Iterator[Fact]:
    """Yield the value of every cell that a label and a column's name can ask for."""
    for element, path in tables:
        table = element.table
        key = _key(table) if table else None
        if table is None or key is None:
            continue
        columns = table.rows[0]
        for number, row in enumerate(table.rows[1:], start=1):
            place = table.places[number] if table.places else element.place
            text = " | ".join(squeeze(cell) for cell in row if cell.strip())
            for column, cell in zip(columns, row, strict=False):
                cell = squeeze(cell)
                if column == columns[key] or cell.lower() in EMPTY or len(cell) > 60:
                    continue
                asked = _ask(columns[key], row[key], column, cell, path)
                if asked:
                    vague = VAGUE.fullmatch(column) is not None or _short(columns[key], row[key], column)
                    yield Fact(
                        ask=asked, kind="list" if " are listed " in asked and ", " in cell else "table", answer=cell,
                        text=text, page=place.page or element.place.page, vague=vague,
                        also=(f"{int(cell):,}",) if re.fullmatch(r"[1-9]\d{3,8}", cell) else (),
                        under=path[-1] if path else "",
                    )  # fmt: skip


def _short(key: str, label: str, column: str) -> bool:
    """Say whether one word for what is asked and one for the row mean little without their document."""
    return not (
        " " in column or has_cjk(column) or BARE.fullmatch(key) or CODE.fullmatch(label) or " " in label
    )


def lacking(tables: Found) -> Iterator[Fact]:
    """Yield attributes that one table of a document has for its rows and another with the same key has not."""
    known = [(one.table, key) for one, _ in tables if one.table and (key := _key(one.table)) is not None]
    kinds = Counter(table.rows[0][key] for table, key in known)
    for table, key in known:
        if kinds[table.rows[0][key]] > ALIKE:
            continue
        for other, its in known:
            if table is other or table.rows[0][key] != other.rows[0][its]:
                continue
            for row in table.rows[1:]:
                for column, cell in zip(other.rows[0], other.rows[1], strict=False):
                    if column not in table.rows[0] and row[key] not in [line[its] for line in other.rows]:
                        asked = _ask(table.rows[0][key], row[key], column, squeeze(cell), ())
                        if asked and re.fullmatch(r"[^\W\d]+(?: [^\W\d]+)?", column):
                            about = (row[key].lower(), *_named(column)[0].lower().split(" "))
                            yield Fact(ask=asked, kind="unanswerable", about=about, vague=True)


def _key(table: Table) -> int | None:
    """Return the column whose cells name the rows, all different and among the first: a name rather than a code."""
    columns = table.rows[0]
    if table.header != 1 or len(table.rows) < 3 or len(set(columns)) < len(columns):
        return None
    code = None
    for number in range(min(3, len(columns) - 1)):
        cells = [squeeze(row[number]) for row in table.rows[1:]]
        different = len({cell.casefold() for cell in cells}) == len(cells)
        if not different or PLURAL.search(columns[number]) or not all(0 < len(cell) <= 50 for cell in cells):
            continue
        coded = all(CODE.fullmatch(cell) for cell in cells)
        if not coded and not all(VALUE.match(cell) for cell in cells):
            return number if code is None or NAMING.fullmatch(columns[number]) else code
        code = number if code is None and not all(VALUE.match(cell) for cell in cells) else code
    return code


def _named(column: str) -> tuple[str, str]:
    """Return a column's name and its unit."""
    column = squeeze(column.replace("_", " "))
    found = UNIT.match(column)
    name, unit = (found[1], found[2] or found[3]) if found else (column, "")
    return name, "" if unit in ("c", "s") else unit


def _ask(key: str, label: str, column: str, cell: str, path: Sequence[str]) -> str:
    """Return the question for a cell, empty where none would read well."""
    name, unit = _named(column)
    label = squeeze(label)
    chinese = has_cjk(name) or has_cjk(key)
    if PERIOD.fullmatch(name):
        return _in_period(label, name, path[-1] if path else "", chinese)
    if ODD.fullmatch(name) or len(name) > 40 or len(name.split()) > 5:
        return ""
    if sum(sign.isalpha() for sign in name) * 2 <= len(name):  # a column that is called 10.60 – 10.70
        return ""
    if ODD.fullmatch(key.strip()) and not CODE.fullmatch(label):
        return ""
    return _chinese(key, label, name, unit, cell) if chinese else _english(key, label, name, unit, cell)


def _in_period(label: str, period: str, heading: str, chinese: bool) -> str:
    """Ask for a table of figures by period, whose heading says what is measured."""
    measure = re.sub(r"^[\d.]+\s+|^[一二三四五六七八九十]+、", "", heading)
    if chinese:
        return f"{label}在{period}的{measure}是多少？" if 2 <= len(measure) <= 12 else ""
    if " by " not in measure:
        return ""
    return (
        f"What was the {measure.partition(' by ')[0].lower()} of {label} in {period.replace('Year', 'year')}?"
    )


def _english(key: str, label: str, name: str, unit: str, cell: str) -> str:
    words = name if name.isupper() else name.lower() if name.istitle() else name[0].lower() + name[1:]
    said = squeeze(key.replace("_", " ")).lower()
    head = re.split(r" (?:of|from|per|in|for|on|at) ", words)[0]
    if words in said or (PLURAL.search(head.split(" ")[0]) and not PLURAL.search(head)):
        return ""
    thing = _thing(said, label, words)
    if re.fullmatch(rf"(?:.* )?{ROLE}", words) and re.fullmatch(NAME, cell):
        special = {"responsible": "Who is responsible for", "person": "Who is named for"}
        return f"{special.get(words, f'Who is the {words} of')} {thing}?"
    if words == "due":
        return f"When is {thing} due?"
    if PLURAL.search(head):
        return f"{'How many' if re.fullmatch(CODE, cell) else 'Which'} {words} are listed for {thing}?"
    if THING.fullmatch(words):
        return f"Which {words} is listed for {thing}?"
    return f"What is the {words}{f' in {unit}' if unit else ''} of {thing}?"


def _thing(said: str, label: str, words: str) -> str:
    """Return a row's label as one says it: a name alone, other words with what they are."""
    plain = CODE.fullmatch(label) or re.fullmatch(rf"{NAME}|[A-Z][\w'-]+", label)
    if (
        (BARE.fullmatch(said) and not CODE.fullmatch(label))
        or said in words
        or ODD.fullmatch(said)
        or said.endswith("no.")
    ):
        return label
    return f"the {said} {label if plain else f'“{label}”'}"


def _chinese(key: str, label: str, name: str, unit: str, cell: str) -> str:
    if BARE.fullmatch(key) or label.startswith(key):
        label = f"{key}{label}" if CODE.fullmatch(label) and not label.startswith(key) else label
    else:
        label = f"{key}{label}" if CODE.fullmatch(label) else f"{key}“{label}”"
    if re.search(f"{ROLE_ZH}$", name):
        return f"{label}的{name}是谁？" if re.fullmatch(r"[\u4e00-\u9fff]{2,4}", cell) else ""
    if DATED.match(cell):
        return f"{label}的{name.removesuffix('至')}{'到' if name.endswith('至') else '是'}什么时候？"
    for pattern, asked in WHAT_ZH:
        if pattern.fullmatch(name):
            return f"{label}的{name}{asked}？"
    if VALUE.match(cell):
        return f"{label}的{name}是多少{'个月' if unit == '月' else unit}？"
    return f"{label}的{name}是什么？"
