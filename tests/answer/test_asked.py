"""What a question asks for: its kind of value, its parts, what it names and what it points back to."""

from __future__ import annotations

import pytest

from lyceum.answer.asked import KINDS, details, kind, mismatch, parts, refers_back

# Kind, a question that asks for it, a text with such a value, a text without one.
EXAMPLES = [
    ("phone", "What is the phone number of the gate?", "Call 555 010 2233.", "The gate is open at night."),
    ("phone", "门卫的电话是多少？", "请拨分机 4471。", "门卫在一楼。"),
    ("weight", "How heavy is the gateway?", "It brings 2.5 kg to the scales.", "It is grey."),
    ("weight", "网关多重？", "约2.5公斤。", "外壳为灰色。"),
    ("temperature", "How cold is the store?", "It is kept at -18 °C.", "It is painted white."),
    ("temperature", "冷库应保持多少度？", "零下18摄氏度。", "墙面为白色。"),
    ("distance", "How far is the hotel?", "The hotel lies 4 km north of the gate.", "The hotel is near."),
    ("distance", "酒店有多远？", "距大门4公里。", "在大门旁边。"),
    ("share", "What percentage is refunded?", "Of the fee 80% is refunded.", "The fee is refunded."),
    ("share", "退款按百分之几计算？", "退还80%。", "费用可以退还。"),
    ("money", "How much does lunch cost?", "Lunch costs 45 EUR.", "Lunch is served upstairs."),
    ("money", "午餐多少钱？", "每份30元。", "午餐在楼上供应。"),
    ("date", "When is the salary paid?", "It is paid on 25 March 2026.", "The bank pays it."),
    ("date", "工资什么时候发？", "3月25日发放。", "工资由银行发放。"),
    ("duration", "How long is the probation?", "It lasts six months.", "The manager decides."),
    ("duration", "试用期多久？", "试用期为六个月。", "试用期由主管评定。"),
    ("number", "How many pallets fit in?", "There is room for 1,200 pallets.", "Pallets stand on racks."),
    ("number", "能放多少托盘？", "可放1200个托盘。", "托盘放在货架上。"),
    ("name", "Who signs the form?", "It is signed by Ingrid Dahl.", "It is signed at the gate."),
    ("name", "Who signs the form?", "由王芳签字。", "42"),
]


@pytest.mark.parametrize(("wanted", "question", "with_value", "without"), EXAMPLES)
def test_kinds_of_value(wanted: str, question: str, with_value: str, without: str) -> None:
    assert kind(question) == wanted
    assert not mismatch(wanted, with_value)
    assert mismatch(wanted, without)


@pytest.mark.parametrize(
    ("question", "text", "lacks"),
    [
        ("When was the harbour built?", "It was begun in 1753.", False),
        ("When was the harbour built?", "It dates from the 12th century.", False),
        ("When may the door be opened?", "It may be opened once the alarm is off.", False),
        ("When was the harbour built?", "It was built of granite.", True),
        ("When does the harbour open?", "It opens at seven in spring.", False),
        ("When does the harbour open?", "It opens at the northern end.", True),
        ("港口什么时候开放？", "港口早上开放。", False),
        ("What does a berth cost?", "The fee for a berth is 1,850.", False),
        ("What does a berth cost?", "The berths number 1,850.", True),
        ("Who follows Ingrid Dahl?", "Ingrid Dahl will leave the board.", True),
        ("Who follows Ingrid Dahl?", "Ingrid Dahl is followed by Odd Moe.", False),
        ("Who signs the form?", "It is signed by the driver.", False),
    ],
)
def test_texts_with_and_without_the_value(question: str, text: str, lacks: bool) -> None:
    assert mismatch(kind(question), text, question) == lacks


def test_every_kind_has_an_example() -> None:
    assert {wanted for wanted, *_ in EXAMPLES} == set(KINDS)


@pytest.mark.parametrize(
    "question",
    [
        "Describe the canteen.",
        "Which dialect is spoken at the gate?",
        "Where is the whole warehouse?",
        "请介绍食堂。",
        "几号门通向冷库？",
    ],
)
def test_questions_whose_words_do_not_tell_a_kind(question: str) -> None:
    assert kind(question) == ""
    assert not mismatch(kind(question), "no value at all")


@pytest.mark.parametrize(
    ("question", "wanted"),
    [
        ("How much does the gateway weigh?", "weight"),
        ("How much does the gateway cost?", "money"),
        ("How much of it is left?", "number"),
        ("What is the highest temperature in the store?", "temperature"),
        ("How many temperature sensors are there?", "number"),
        ("Which year did it open?", "date"),
        ("How many years may it be used?", "number"),
        ("网关可以用多少年？", "duration"),
        ("有多少个传感器？", "number"),
    ],
)
def test_the_more_particular_kind_counts(question: str, wanted: str) -> None:
    assert kind(question) == wanted


@pytest.mark.parametrize(
    ("question", "asked"),
    [
        ("Who leads the depot and what is her extension?", ["Who leads the depot", "what is her extension?"]),
        ("Where is the depot, and when does it open?", ["Where is the depot", "when does it open?"]),
        ("Where is the depot? When does it open?", ["Where is the depot", "When does it open?"]),
        ("Who leads the depot, and in which room is she?", ["Who leads the depot", "in which room is she?"]),
        ("价格是多少？保修多久？", ["价格是多少", "保修多久？"]),
        ("送到冷库，最重多少公斤？保修多久？", ["送到冷库，最重多少公斤", "保修多久？"]),
        ("网关多少钱，什么时候发货？", ["网关多少钱", "什么时候发货？"]),
    ],
)
def test_two_questions_in_one(question: str, asked: list[str]) -> None:
    assert parts(question) == asked


@pytest.mark.parametrize(
    "question",
    [
        "Where is the depot?",
        "What do pumps and valves cost?",
        "The boat did not go. How soon is the fare returned?",
        "Which phones may staff keep?",
        "Who leads the depot and what is her extension and where is her office?",
        "食堂在哪里？",
        "如果迟到，应该怎么办？",
        "",
    ],
)
def test_any_other_question_stays_whole(question: str) -> None:
    assert parts(question) == [question]


@pytest.mark.parametrize(
    "question",
    [
        "What is her extension?",
        "how much does it cost?",
        "Where are THEY?",
        "它多少钱？",
        "该设备多重？",
        "这台泵在哪？",
    ],
)
def test_words_that_point_back(question: str) -> None:
    assert refers_back(question)


@pytest.mark.parametrize(
    "question", ["What is the fee?", "Which herbs hit the shelves?", "食堂在哪里？", "网关多少钱？"]
)
def test_nothing_points_back(question: str) -> None:
    assert not refers_back(question)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Where did ACME sell the TX-200 to Oslo in 2019?", ["ACME", "TX-200", "Oslo", "2019"]),
        ("ACME sells what?", ["ACME"]),
        ("TX-200.5 weighs how much?", ["TX-200.5"]),
        ("TX-200支持Modbus吗？", ["TX-200", "Modbus"]),
        ("Where is the canteen?", []),
        ("食堂在哪里？", []),
    ],
)
def test_details(text: str, found: list[str]) -> None:
    assert details(text) == found
