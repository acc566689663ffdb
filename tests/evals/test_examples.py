"""Every layout of a set is read whole; what cannot be read names its line; what is written comes back the same."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lyceum.core.errors import InvalidInput
from lyceum.core.types import Answer, Example, Gold, Message
from lyceum.evals import beir, examples
from lyceum.evals.metrics import METRICS

SHARED = Path(os.environ.get("LYCEUM_SHARED", "/nowhere")) / "data"
PARAGRAPH = "Normandy is a region. It lies in France, west of Paris. The Norse settled there."


def folder(
    tmp_path: Path, queries: list[dict[str, Any]], qrels: str = "", corpus: list[dict[str, Any]] | None = None
) -> Path:
    """Write a set as BEIR lays it out."""
    rows = [{"_id": "d1", "title": "Normans", "text": PARAGRAPH}] if corpus is None else corpus
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    (tmp_path / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in queries), "utf-8")
    (tmp_path / "qrels.tsv").write_text(f"query-id\tcorpus-id\tscore\n{qrels}", "utf-8")
    return tmp_path


def asked(answers: list[str], **metadata: Any) -> dict[str, Any]:
    return {"_id": "q1", "text": "Where is Normandy?", "answers": answers, "metadata": metadata}


def only(tmp_path: Path, row: dict[str, Any], **more: Any) -> Example:
    (one,) = examples.read(folder(tmp_path, [row], "q1\td1\t1\n", **more))
    return one


def test_a_span_gives_the_sentence_that_holds_it(tmp_path: Path) -> None:
    one = only(tmp_path, asked(["France"], answer_starts=[PARAGRAPH.index("France")], article="Normans"))
    assert one.gold == (Gold(document="d1", text="It lies in France, west of Paris."),)
    assert one.answers == (("France",),)
    assert one.half == examples.half("Normans")


def test_without_a_start_words_that_stand_twice_are_no_gold(tmp_path: Path) -> None:
    assert only(tmp_path, asked(["region"])).gold[0].text == "Normandy is a region."
    assert only(tmp_path, asked(["is"])).gold[0].text == ""


def test_rows_of_a_table_are_lines(tmp_path: Path) -> None:
    corpus = [{"_id": "d1", "title": "", "text": "a | b\nx. y | 7\nz | 8", "metadata": {"rows": []}}]
    assert only(tmp_path, asked(["7"]), corpus=corpus).gold[0].text == ""  # one sign stands anywhere
    assert only(tmp_path, asked(["x. y"]), corpus=corpus).gold[0].text == "x. y | 7"


@pytest.mark.parametrize(
    ("metadata", "parts"),
    [
        ({}, (("a", "b"),)),
        ({"answer_mode": "any"}, (("a", "b"),)),
        ({"answer_mode": "set"}, (("a",), ("b",))),
        ({"answer_type": "multi-span"}, (("a",), ("b",))),
        ({"answer_parts": [["x", "X"], "y"]}, (("x", "X"), ("y",))),
    ],
)
def test_parts_and_spellings(tmp_path: Path, metadata: dict[str, Any], parts: object) -> None:
    assert only(tmp_path, asked(["a", "b"], **metadata)).answers == parts


@pytest.mark.parametrize(
    ("answer", "scale", "made"),
    [
        ("$1,496.5", "million", ["$1,496.5 million", "1496.5 million", "$1,496,500,000", "$1496500000"]),
        ("-12.6", "thousand", ["-12.6 thousand", "-12,600", "-12600"]),
        ("44", "percent", ["44%", "44 %", "44 percent"]),
        ("44%", "percent", ["44%", "44 %", "44 percent"]),
        ("the customer", "million", ["the customer"]),
        ("2019", "", ["2019"]),
    ],
)
def test_the_scale_is_part_of_the_answer(answer: str, scale: str, made: list[str]) -> None:
    assert beir.spellings(answer, scale) == made


def test_a_number_counts_with_its_scale_and_without(tmp_path: Path) -> None:
    one = only(tmp_path, asked(["$1,496.5"], scale="million"))
    for text, right in (
        ("$1,496.5 million", 1),
        ("1,496.5", 1),
        ("$1,496,500,000", 1),
        ("1,496.5 thousand", 0),
    ):
        assert METRICS["number"](one, Answer(text=text)).value == right, text
    assert METRICS["correct"](one, Answer(text="1,496.5")).value == 0  # the scale is part of the answer


def test_gold_words_that_sets_know(tmp_path: Path) -> None:
    corpus = [{"_id": "d1", "title": "Alû", "text": "A. B.", "metadata": {"sentences": ["A.", "B."]}}]
    facts = only(tmp_path, asked(["x"], supporting_facts=[["Alû", 1], ["Other", 0]]), corpus=corpus)
    assert [gold.text for gold in facts.gold] == ["B."]
    corpus = [{"_id": "F-p4", "title": "", "text": "Cash rose.", "metadata": {}}]
    row = asked(["x"], doc="F", evidence=[{"page0": 4, "text": "Cash rose."}, {"page0": 9, "text": "No."}])
    (page,) = examples.read(folder(tmp_path, [row], "q1\tF-p4\t1\n", corpus))
    assert page.gold == (Gold(document="F-p4", page=5, text="Cash rose."),)


def test_history_and_refusals(tmp_path: Path) -> None:
    turns = [{"role": "user", "text": "Hi"}, {"role": "agent", "text": "Hello"}]
    row = asked(["I do not know."], answerable=False, history=turns)
    (one,) = examples.read(folder(tmp_path, [row]))
    assert one.history == (Message(role="user", content="Hi"), Message(role="assistant", content="Hello"))
    assert not one.answerable
    assert one.answers == ()
    assert one.meta["reply"] == ["I do not know."]


def test_turns_of_a_conversation_and_paragraphs_of_an_article_share_a_half(tmp_path: Path) -> None:
    rows = [
        {"_id": f"c_{n}", "text": "And then?", "metadata": {"history": [{"role": "user", "text": "Hi"}] * n}}
        for n in range(9)
    ]
    rows += [
        {"_id": f"p{n}", "text": "Who?", "metadata": {"context_id": f"p{n}", "article": "A"}}
        for n in range(9)
    ]
    found = examples.read(folder(tmp_path, rows))
    assert len({one.half for one in found[:9]}) == len({one.half for one in found[9:]}) == 1
    assert {examples.half(str(n)) for n in range(9)} == {"dev", "test"}


def test_qrels_by_halves(tmp_path: Path) -> None:
    made = folder(tmp_path, [asked(["France"])])
    (made / "qrels.tsv").unlink()
    (made / "qrels").mkdir()
    (made / "qrels" / "dev.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t2\n", "utf-8")
    (one,) = examples.read(made)
    assert (one.half, one.gold[0].grade) == ("dev", 2.0)


def bad_folders() -> Iterator[tuple[str, dict[str, Any], str]]:
    good = [asked(["France"])]
    yield (
        "absent",
        {"queries": good, "qrels": "q1\td1\t1\nq1\tgone\t1\n"},
        "qrels.tsv, line 3: the document 'gone'",
    )
    yield "unknown", {"queries": good, "qrels": "q9\td1\t1\n"}, "qrels.tsv, line 2: the question 'q9'"
    yield "grade", {"queries": good, "qrels": "q1\td1\thigh\n"}, "qrels.tsv, line 2: no judgement"
    yield "twice", {"queries": [*good, *good]}, "queries.jsonl, line 2: the id 'q1' stands there twice"
    yield "empty", {"queries": [{"_id": "q1", "text": "  "}]}, "queries.jsonl, line 1: it asks nothing"
    yield "fields", {"queries": [*good, {"id": "q2"}]}, "queries.jsonl, line 2: a question has"
    yield "none", {"queries": []}, "it holds no question"


@pytest.mark.parametrize(("made", "said"), [pytest.param(*rest, id=name) for name, *rest in bad_folders()])
def test_bad_folders_name_file_and_line(tmp_path: Path, made: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        examples.read(folder(tmp_path, **made))
    assert said in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"question": "a"}\n{"question": ', "line 2: no JSON"),
        ("[1]\n", "line 1: no JSON object"),
        ('{"question": ""}\n', "line 1: it asks nothing"),
        ('{"id": "a"}\n', "line 1: it asks nothing"),
        ('{"question": "a", "half": "train"}', "line 1: 'train' is no half"),
        ('{"question": "a", "gold": [{"page": 3}]}', "line 1: its gold cannot be read"),
        ('{"question": "a", "document": "d", "page": "three"}', "line 1: its gold cannot be read"),
        ('{"question": "a", "answers": [["x"], []]}', "line 1: answers"),
        ('{"question": "a", "history": [{"role": "robot", "content": "x"}]}', "line 1: its history"),
        ('{"id": "a", "question": "a"}\n\n{"id": "a", "question": "b"}', "line 3: the id 'a'"),
        ('{"question": "a", "answer": "b", "citations": []}', "line 1: an answer that nobody has judged"),
        ("", "it holds no question"),
    ],
)
def test_bad_lines_name_file_and_line(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "questions.jsonl"
    file.write_text(text, "utf-8")
    with pytest.raises(InvalidInput) as caught:
        examples.read(file)
    assert said in caught.value.message
    assert "questions.jsonl" in caught.value.message


def test_lines_in_the_words_of_the_examples(tmp_path: Path) -> None:
    file = tmp_path / "questions.jsonl"
    row = {
        "id": "en-1", "question": "How long?", "answers": [["7 years", "seven years"]], "tags": ["lookup"],
        "gold": [{"document": "README.txt", "evidence": "Records: 7 years.", "page": 2}],
    }  # fmt: skip
    file.write_text(json.dumps(row) + '\n{"question": "Who?", "tags": ["unanswerable"]}\n', "utf-8")
    one, other = examples.read(file)
    assert one.gold == (Gold(document="README.txt", page=2, text="Records: 7 years."),)
    assert one.answers == (("7 years", "seven years"),)
    assert not other.answerable
    assert other.id == "line-2"


def test_csv_with_the_usual_names_of_columns(tmp_path: Path) -> None:
    file = tmp_path / "questions.csv"
    text = 'Question,ground_truth,Source,Page,tags,owner\n"How long, then?",7 years | seven years,a.pdf,3,"x, y",me\n'
    file.write_text("\ufeff" + text, "utf-8")
    (one,) = examples.read(file)
    assert one.question == "How long, then?"
    assert one.answers == (("7 years", "seven years"),)
    assert one.gold == (Gold(document="a.pdf", page=3),)
    assert one.tags == ("x", "y")
    assert one.meta == {"owner": "me"}
    file.write_bytes("问题,答案\n何时？,周一\n".encode("gb18030"))
    with pytest.raises(InvalidInput, match="UTF-8"):
        examples.read(file)
    file.write_text("问题,答案\n何时？,周一\n", "utf-8")
    assert examples.read(file)[0].answers == (("周一",),)
    for bad, said in (
        ("what,answer\na,b\n", "line 1: no column"),
        ('question,answer\n\n"x\ny",b\na,b,c\n', "line 5: it has not"),
    ):
        file.write_text(bad, "utf-8")
        with pytest.raises(InvalidInput, match=said):
            examples.read(file)


def test_ragas_rows(tmp_path: Path) -> None:
    file = tmp_path / "ragas.jsonl"
    talk = [
        {"type": "human", "content": "Hi"},
        {"type": "ai", "content": "Hello"},
        {"type": "human", "content": "Who?"},
    ]
    row = {"user_input": talk, "reference": "Ada", "reference_contexts": ["Ada did."], "response": "Bob"}
    file.write_text(json.dumps(row) + "\n", "utf-8")
    (one,) = examples.read(file)
    assert (one.question, one.answers, len(one.history)) == ("Who?", (("Ada",),), 2)
    assert one.gold == ()  # a passage without a document's name is no place
    assert one.meta == {"reference_contexts": ["Ada did."], "response": "Bob"}
    assert examples.remarks([one]) == [
        "1 of 1 questions are answerable and name no gold document: no retrieval metric."
    ]


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    made = [
        Example(id="a", question="Where?\nNow", answers=(("x", "y"), ("z",)), half="dev", tags=("t",)),
        Example(
            id="b", question="谁？", answerable=False, half="test", readers=frozenset({"b", "a"}),
            history=(Message(role="assistant", content="“"),), meta={"state": "open", "n": [1]},
            gold=(Gold(document="d", page=2, text="w", grade=0.5), Gold(document="e", page=1)),
        ),
    ]  # fmt: skip
    file = tmp_path / "new" / "set.jsonl"
    examples.write(file, made)
    assert examples.read(file) == made
    assert file.read_text("utf-8").splitlines()[1].startswith('{"state": "open"')
    assert [*file.parent.iterdir()] == [file]


def test_remarks_count_what_is_not_judged_and_what_a_review_left() -> None:
    made = [
        Example(id="a", question="a", answers=(("x",),), gold=(Gold(document="d"),)),
        Example(id="b", question="b", meta={"state": "dropped"}),
        Example(id="c", question="c", answerable=False, meta={"state": "open"}),
    ]
    assert [text.split(" ")[0] for text in examples.remarks(made)] == ["1", "1", "1", "1"]
    assert examples.remarks(made[:1]) == []


ANSWER = {
    "question": "How long?", "answer": "7 years [1]", "trace_id": "t1", "abstained": False,
    "citations": [{"source": "/x/a.pdf", "page": 3, "quote": "Records: 7 years.", "span": [9, 16]}],
}  # fmt: skip


def test_a_thumb_makes_an_example(tmp_path: Path) -> None:
    good = examples.judged(ANSWER, good=True)
    assert good.answers == (("7 years",),)
    assert good.gold == (Gold(document="/x/a.pdf", page=3, text="Records: 7 years."),)
    refusal = examples.judged({**ANSWER, "abstained": True, "citations": []}, good=True)
    assert not refusal.answerable
    bad = examples.judged(ANSWER, good=False)
    assert (bad.answers, bad.gold, bad.meta["state"], bad.answerable) == ((), (), "open", True)
    assert examples.judged(ANSWER, good=False, answer="8 years").answers == (("8 years",),)
    file = tmp_path / "log.jsonl"
    file.write_text(json.dumps({**ANSWER, "thumb": "good"}) + "\n", "utf-8")
    assert examples.read(file) == [good]


COUNTS = {
    "squad_en": (1299, 0, 1299), "squad_v2_abstain_en": (1705, 929, 776), "cmrc2018_zh": (3219, 0, 3219),
    "tatqa_en": (834, 0, 1083), "financebench_en": (25, 0, 35), "hotpotqa_en": (100, 0, 229),
    "wikitablequestions_en": (745, 0, 745), "mtrag_un_en": (273, 58, 420), "mt_bench_en": (40, 0, 0),
    "rgb_zh_int": (60, 0, 919),
}  # fmt: skip


@pytest.mark.parametrize("name", COUNTS)
def test_real_sets_are_read_whole(name: str) -> None:
    """Counts as the sets' own READMEs give them; gold counts words, of which a document may have several."""
    if not (SHARED / name).is_dir():
        pytest.skip("needs the sets of LYCEUM_SHARED")
    found = examples.read(SHARED / name)
    gold = sum(len(one.gold) for one in found)
    assert (len(found), sum(not one.answerable for one in found), gold) == COUNTS[name]
    if name in ("squad_en", "cmrc2018_zh", "hotpotqa_en", "financebench_en"):
        assert all(one.text for example in found for one in example.gold)
    assert 0.3 < sum(one.half == "dev" for one in found) / len(found) < 0.65
