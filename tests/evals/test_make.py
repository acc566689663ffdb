"""Facts of tables and sentences become questions that stand alone; a model's questions are checked first."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from lyceum.core.errors import LyceumError, ProviderError
from lyceum.core.ids import document_id
from lyceum.core.types import Chunk, Document, Element, Message, Piece, Place, Table
from lyceum.evals import make, make_chat
from lyceum.evals.facts import lowered
from lyceum.models.scripted import ScriptedChat
from tests.toys import run


def document(name: str = "guide.md", title: str = "Product Guide") -> Document:
    return Document(id=document_id(name), source=name, version="1", title=title)


def heading(text: str, level: int = 1) -> Element:
    return Element(doc_id="d", kind="heading", text=text, level=level)


def text(*said: str) -> list[Element]:
    return [Element(doc_id="d", kind="text", text=one, place=Place(page=2)) for one in said]


def table(*rows: str) -> Element:
    cells = tuple(tuple(row.split("|")) for row in rows)
    places = tuple(Place(page=1 + number) for number in range(len(rows)))
    return Element(
        doc_id="d", kind="table", text="\n".join(rows), table=Table(rows=cells, places=places)
    )  # fmt: skip


def questions(
    *elements: Element, name: str = "guide.md", title: str = "Product Guide"
) -> dict[str, tuple[str, ...]]:
    made = make.make([(document(name, title), elements)], lambda one: one.source)
    return {one.question: tuple(part[0] for part in one.answers) for one in made.examples}


MODELS = table("Model|Weight|List price EUR|Notes", "P5|112 g|1180|new", "P7|134 g|164|", "P9|158 g|289|x")


def test_a_table_is_asked_by_label_and_column() -> None:
    made = make.make([(document(), [MODELS])], lambda one: one.source)
    found = {one.question: one for one in made.examples}
    one = found["What is the weight of the model P7?"]
    assert one.answers == (("134 g",),)
    assert one.gold[0].document == "guide.md"
    assert one.gold[0].page == 3
    assert one.gold[0].text == "P7 | 134 g | 164"
    assert one.tags == ("table", "en")
    assert one.meta["state"] == "open"
    assert found["What is the list price in EUR of the model P5?"].answers == (("1180", "1,180"),)
    assert not any("notes" in question.lower() for question in found)


@pytest.mark.parametrize(
    ("rows", "question", "answer"),
    [
        (["Action|Responsible|Due", "Fix door|Ann Lee|1 May", "New floor|Bo Ek|2 May"],
         "Who is responsible for the action “Fix door”?", ("Ann Lee",)),
        (["Action|Responsible|Due", "Fix door|Ann Lee|1 May", "New floor|Bo Ek|2 May"],
         "When is the action “New floor” due?", ("2 May",)),
        (["shipment|goods|pallets", "SH-1|cod|22", "SH-2|peas|9"],
         "How many pallets are listed for the shipment SH-1?", ("22",)),
        (["Level|Languages", "Silver|English, Chinese", "Gold|English"],
         "According to “Product Guide”, which languages are listed for the level Silver?", ("English", "Chinese")),
        (["型号|保修期（月）|负责人", "甲一|6|邱文博", "甲二|24|蒋大伟"], "甲一的保修期是多少个月？", ("6",)),
        (["型号|保修期（月）|负责人", "甲一|6|邱文博", "甲二|24|蒋大伟"], "甲二的负责人是谁？", ("蒋大伟",)),
        (["故障代码|处理方式", "E03|预热", "E07|清洗"], "故障代码E03的处理方式是什么？", ("预热",)),
    ],
)  # fmt: skip
def test_questions_of_tables_read_well(rows: list[str], question: str, answer: tuple[str, ...]) -> None:
    assert questions(table(*rows))[question] == answer


def test_figures_by_period_take_their_measure_from_the_heading() -> None:
    rows = table("Business|Q1 2025|Year 2025", "Sensors|24.3|104.6", "Service|1.9|8.5")
    found = questions(heading("2 Revenue by quarter"), rows)
    assert found["What was the revenue of Sensors in Q1 2025?"] == ("24.3",)
    assert questions(heading("Overview"), rows) == {}


def test_a_table_without_names_for_its_rows_is_left_alone() -> None:
    assert questions(table("a|b", "x|1", "x|2")) == {}  # two rows with one label
    assert questions(table("a|b", "7|1", "9|2")) == {}  # numbers name nothing
    assert questions(table("a|a", "x|1", "y|2")) == {}


@pytest.mark.parametrize(
    ("sentence", "question", "answer"),
    [
        ("The review is led by Kaisa Myllari.", "who is the review led by?", "Kaisa Myllari"),
        ("A lost key costs GBP 45.", "how much does a lost key cost?", "GBP 45"),
        ("The tenant receives six keys.", "how many keys does the tenant receive?", "six"),
        ("Passwords have at least 14 characters.", "how many characters do passwords have?", "14"),
        ("The lease runs for seven years from 1 May 2025.", "how long does the lease run?", "seven years"),
        ("Spare parts are kept for eight years.", "for how long are spare parts kept?", "eight years"),
        ("A key must be reported within two hours.", "within what time must a key be reported?", "two hours"),
        ("Owner: Tobias Rennert, chief officer.", "who is the owner?", "Tobias Rennert"),
        ("The fax gateway was closed on 31 December 2024.", "when was the fax gateway closed?", "31 December 2024"),
        ("产假为158天，陪产假为15天。", "产假为多少天？", "158天"),
        ("动火作业票由何晓岚签发。", "动火作业票由谁签发？", "何晓岚"),
        ("系统于2022年12月31日停用。", "系统于什么时候停用？", "2022年12月31日"),
        ("员工辞职应提前30天书面通知。", "员工辞职应提前多少天书面通知？", "30天"),
        ("总指挥为顾明远。", "总指挥是谁？", "顾明远"),
    ],
)  # fmt: skip
def test_sentences_give_one_question(sentence: str, question: str, answer: str) -> None:
    start = "根据《Product Guide》，" if "？" in question else "According to “Product Guide”, "
    made = make.make([(document(), text(sentence))], lambda one: one.source)
    assert [(one.question, one.answers[0][0]) for one in made.examples] == [(start + question, answer)]
    assert made.examples[0].gold[0].text == sentence
    assert made.examples[0].gold[0].page == 2


@pytest.mark.parametrize(
    "sentence",
    [
        "It costs GBP 45.",  # what does?
        "The fee is EUR 51 within Europe and EUR 57 elsewhere.",  # two values
        "The worst was a collision in the yard.",  # no name
        "The deposit is three months' rent.",  # not how long
        "In rooms of 400 square metres the alarm is loud.",
        "其中两台使用液氮制冷。",
        "油位低于视镜三分之一时应补油。",
        "当天取消预约超过三次的客户，下一周只能电话预约。",
        "年休假为8天或者12天。",
        "客户甲与客户乙为同一家。",
    ],
)
def test_what_would_ask_badly_is_not_asked(sentence: str) -> None:
    assert questions(*text(sentence)) == {}


def test_headings_and_entries() -> None:
    elements = [
        heading("Guide"),
        heading("Version 6.1, 7 October 2025", 2),
        heading("Kept", 2),
        *text("Contracts: 12 years."),
    ]
    found = questions(*elements)
    assert found["According to “Product Guide”, what is the date of Version 6.1?"] == ("7 October 2025",)
    assert found["According to “Product Guide” (Kept), what is said about “Contracts”?"] == ("12 years",)


def test_two_answers_in_two_documents_are_asked_with_their_document() -> None:
    one, other = (
        (document(f"v{n}.md", f"Rules, version {n}"), [table("Model|Weight", "P5|1 kg", f"P7|{n} g")])
        for n in (1, 2)
    )
    asked = [example.question for example in make.make([one, other], lambda one: one.source).examples]
    assert "According to “Rules, version 2”, what is the weight of the model P7?" in asked
    assert "What is the weight of the model P7?" not in asked


def test_two_answers_in_one_document_are_dropped() -> None:
    tables = [table("Model|Weight", "P5|1 g", "P6|2 g"), table("Model|Weight", "P5|9 g", "P8|3 g")]
    made = make.make([(document(), tables)], lambda one: one.source)
    assert {one.question for one in made.examples if one.answerable} == {
        "What is the weight of the model P6?", "What is the weight of the model P8?"
    }  # fmt: skip
    assert made.dropped["ambiguous"] == 2


def test_a_question_that_holds_its_answer_is_dropped() -> None:
    made = make.make([(document(), [table("Model|Series", "P5 Pro|P5 Pro", "P6|X")])], lambda one: one.source)
    assert made.dropped["leading"] == 1
    assert [one.answers for one in made.examples] == [(("X",),)]


def test_an_attribute_that_no_text_gives_is_asked_to_be_refused() -> None:
    gateways = table("Model|Supply", "G3|PoE", "G5|DC")
    many = text(*(f"The number {n} box costs EUR {n}." for n in range(10, 40)))
    made = make.make([(document(), [MODELS, gateways, *many])], lambda one: one.source)
    lacking = [one for one in made.examples if not one.answerable]
    assert {one.question for one in lacking} > {
        "According to “Product Guide”, what is the weight of the model G3?",
        "According to “Product Guide”, what is the supply of the model P5?",
    }
    assert all(one.gold == one.answers == () and one.tags[0] == "unanswerable" for one in lacking)
    told = text("The weight of a G3 is not light: 2 kg.")
    made = make.make([(document(), [MODELS, gateways, *many, *told])], lambda one: one.source)
    assert not any("weight of the model G3" in one.question for one in made.examples)
    assert made.dropped["perhaps answerable"] == 1


def test_a_limit_is_shared_by_documents_and_halves_go_by_document() -> None:
    big = table("Model|Weight", *(f"B{n}|{n} g" for n in range(50)))
    pages = [(document(f"{n}.md", f"Guide {n}"), [MODELS if n else big]) for n in range(9)]
    made = make.make(pages, lambda one: one.source, most=18)
    found = [(one.gold[0].document, one.half) for one in made.examples]
    assert len(found) == 18
    assert {name for name, _ in found} == {f"{n}.md" for n in range(9)}
    assert len(set(found)) == 9
    again = make.make(list(reversed(pages)), lambda one: one.source, most=18)
    assert {one.id for one in again.examples} == {one.id for one in made.examples}


def test_words_inside_a_sentence() -> None:
    said = {"The lease": "the lease", "A hold": "a hold", "Net profit": "net profit"}
    said |= {name: name for name in ("EBITDA margin", "PolarNode P7", "Dunmore Trailers")}
    assert {words: lowered(words) for words in said} == said


PASSAGE = (
    "The lease of the hall in Leeds runs for seven years from October, and the tenant may end it after four years, "
    "when the landlord was told in writing nine months before; a lost key costs forty-five pounds."
)
GOOD = {
    "question": "For how many years is the hall rented?",
    "answer": "seven years",
    "passage": "runs for seven years from October",
}


def passages(number: int = 1) -> list[tuple[Document, Chunk]]:
    where = (Piece(start=0, end=9, place=Place(page=4)),)
    return [
        (
            document(f"{n}.pdf", "Lease"),
            Chunk(id=f"c{n}", doc_id=document_id(f"{n}.pdf"), text=PASSAGE, pieces=where),
        )
        for n in range(number)
    ]


def written(
    chat: ScriptedChat, found: Sequence[Document] = (document("0.pdf"),), number: int = 1
) -> make.Made:
    async def find(question: str) -> Sequence[Document]:
        return found

    return run(make_chat.make(chat, passages(number), find, lambda one: one.source))


def script(asked: dict[str, str] | str, checked: dict[str, object] | str) -> ScriptedChat:
    def reply(messages: Sequence[Message]) -> str:
        made = checked if "Question:" in messages[-1].content else asked
        return made if isinstance(made, str) else f"Sure:\n{json.dumps(made)}"

    return ScriptedChat(reply)


def test_a_model_writes_a_question_and_a_second_call_confirms_it() -> None:
    chat = script(GOOD, {"answerable": True, "answer": "for seven years"})
    (one,) = written(chat).examples
    assert (one.question, one.answers) == (GOOD["question"], (("seven years",),))
    assert (one.gold[0].document, one.gold[0].page, one.gold[0].text) == ("0.pdf", 4, GOOD["passage"])
    assert one.tags == ("written", "en")
    assert "seven years" not in chat.heard[1][-1].content.split("Question:")[1]  # the second call is blind


def test_what_retrieval_does_not_find_is_tagged_and_kept() -> None:
    (one,) = written(script(GOOD, {"answerable": True, "answer": "seven years"}), found=()).examples
    assert "not-found" in one.tags


@pytest.mark.parametrize(
    ("asked", "checked", "why"),
    [
        ("I would ask about the lease.", "", "junk reply"),
        ({**GOOD, "question": " "}, "", "junk reply"),
        ({**GOOD, "passage": "runs for nine years"}, "", "its passage does not stand there"),
        ({**GOOD, "question": "Is the hall let for seven years?"}, "", "leading"),
        (GOOD, "{", "junk reply"),
        (GOOD, {"answerable": False}, "not answerable from its passage"),
        (GOOD, {"answerable": True, "answer": "four years"}, "the second answer differs"),
        (GOOD, {"answerable": True, "answer": ""}, "the second answer differs"),
    ],
)
def test_what_does_not_hold_is_counted(
    asked: dict[str, str] | str, checked: dict[str, object] | str, why: str
) -> None:
    made = written(script(asked, checked))
    assert made.examples == []
    assert dict(made.dropped) == {why: 1}


def test_the_same_question_twice_and_a_model_that_fails_now_and_then() -> None:
    made = written(script(GOOD, {"answerable": True, "answer": "seven years"}), number=3)
    assert (len(made.examples), made.dropped["twice"]) == (1, 2)
    replies = [ProviderError("down"), json.dumps(GOOD), '{"answerable": true, "answer": "seven years"}', "{}"]
    made = written(ScriptedChat(replies), number=2)
    assert made.dropped["the model failed"] == 1
    with pytest.raises(LyceumError, match="down"):
        written(ScriptedChat([ProviderError("down")]), number=2)
