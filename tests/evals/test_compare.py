"""Verdicts where the truth is known, pairs that must not be made, and where two runs part."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lyceum.core.errors import InvalidInput
from lyceum.core.types import Score
from lyceum.evals import compare
from lyceum.evals.records import Run
from tests.evals.runs import answered, example, failed, made, scores


def flat(values: list[float], name: str = "correct") -> dict[str, list[float]]:
    return {name: values}


def test_better_and_worse() -> None:
    a = scores("a", flat([0.0] * 30 + [1.0] * 70))
    b = scores("b", flat([1.0] * 30 + [1.0] * 65 + [0.0] * 5))
    (one,) = compare.compare([a, b])
    assert (one.verdict, one.won, one.lost, one.n) == ("better", 30, 5, 100)
    assert one.difference == pytest.approx(0.25)
    assert one.means == pytest.approx((0.7, 0.95))
    assert 0 < one.low < 0.25 < one.high
    (other,) = compare.compare([b, a])
    assert (other.verdict, other.difference) == ("worse", pytest.approx(-0.25))
    assert compare.sentence(one).startswith(f"{one.b} is better than {one.a} in correct: +0.250 [+0.1")


def test_no_difference_needs_many_questions_and_few_changes() -> None:
    many = scores("a", flat([1.0] * 3000)), scores("b", flat([1.0] * 2990 + [0.0] * 10))
    (one,) = compare.compare(many, margin=0.02)
    assert one.p == pytest.approx(2 / 2**10)
    assert one.verdict == "worse", "a difference below the margin is still one when it is shown"
    same = scores("a", flat([0.0, 1.0] * 750)), scores("b", flat([0.0, 1.0] * 748 + [1.0, 0.0] * 2))
    (two,) = compare.compare(same, margin=0.02)
    assert (two.verdict, two.won, two.lost) == ("no difference", 2, 2)
    assert "no difference larger than 0.02" in compare.sentence(two)
    few = scores("a", flat([0.0, 1.0] * 20)), scores("b", flat([0.0, 1.0] * 20))
    (three,) = compare.compare(few, margin=0.02)
    assert three.verdict == "not proven", "forty questions that agree prove little about others"


def test_not_proven_says_what_could_have_been_found() -> None:
    a = scores("a", flat([0.0, 1.0] * 30))
    b = scores("b", flat([0.0, 1.0] * 24 + [1.0, 0.0] * 3 + [1.0, 1.0] * 3))
    (one,) = compare.compare([a, b])
    assert (one.verdict, one.won, one.lost) == ("not proven", 6, 3)
    assert one.detectable == pytest.approx((1.95996 + 0.84162) * one.error, rel=1e-4)
    assert f"finds differences from {one.detectable:.3f} on" in compare.sentence(one)


def test_holm_counts_metrics_and_pairs() -> None:
    """Eight wins without a loss: p = 2 / 2^8 = .0078, enough alone, and .0078 x 9 = .07 too much among nine tests."""
    base = {"correct": [0.0] * 8 + [1.0] * 92, "recall@10": [1.0] * 100, "ndcg@10": [1.0] * 100}
    a, b, c = scores("a", base), scores("b", {**base, "correct": [1.0] * 100}), scores("c", base)
    (alone,) = compare.compare([a, b], ["correct"])
    assert (alone.verdict, alone.p) == ("better", pytest.approx(2 / 2**8))
    found = compare.compare([a, b, c])
    assert len(found) == 9
    assert [(one.metric, one.verdict) for one in found if one.won] == [("correct", "not proven")]
    assert max(one.adjusted for one in found if one.won) == pytest.approx(9 * 2 / 2**8)
    assert "Holm over 9" in compare.sentence(found[0], len(found))


def test_equal_pipelines_are_told_apart_in_five_of_a_hundred() -> None:
    """300 comparisons of two metrics without a true difference; bench/statistics.py makes 2,000."""
    random, wrong = np.random.default_rng(7), 0
    for _ in range(300):
        truth = random.beta(6, 3, (2, 100))
        pair = [
            scores(
                name,
                dict(zip(("correct", "recall@10"), (random.random((2, 100)) < truth).tolist(), strict=True)),
            )
            for name in "ab"
        ]
        wrong += any(one.verdict in ("better", "worse") for one in compare.compare(pair))
    assert wrong / 300 <= 0.06


def test_other_data_is_an_error_or_a_counted_remainder() -> None:
    a = made("a", [answered(example(n)) for n in range(10)])
    b = made("b", [answered(example(n)) for n in range(3, 12)])
    changed = replace(b.outcomes[0], example=example(3, question="What else?"))
    b = replace(b, outcomes=[changed, *b.outcomes[1:]])
    with pytest.raises(
        InvalidInput, match=r"6 are common, 3 only in a@\w+, 2 only in b@\w+, 1 asked otherwise"
    ) as told:
        compare.compare([a, b])
    assert (told.value.code, "--common" in told.value.hint) == ("mixed", True)
    (one,) = compare.compare([a, b], ["correct"], common=True)
    assert (one.n, sorted(one.left_out.values())) == (6, [1, 2, 3])
    with pytest.raises(InvalidInput, match="share no example"):
        compare.compare([a, made("c", [answered(example(n)) for n in range(20, 25)])], common=True)


def test_ids_that_stand_twice_metrics_that_are_not_there() -> None:
    a = made("a", [answered(example(1)), answered(example(2))])
    with pytest.raises(InvalidInput, match="'q1' twice"):
        compare.compare([a, made("b", [answered(example(1)), answered(example(1))])])
    with pytest.raises(InvalidInput, match="no metric 'beauty'"):
        compare.compare([a, a], ["beauty"])
    with pytest.raises(InvalidInput, match="share no metric"):
        compare.compare([a, scores("b", flat([1.0], "other"))])


def test_failed_examples_score_zero_and_nothing_is_dropped_silently() -> None:
    asked = [example(n) for n in range(4)]
    unjudged = replace(answered(asked[2]), scores={"correct": Score(reason="junk", failed=True)})
    open_question = replace(answered(asked[3]), scores={"correct": Score(reason="no gold answer")})
    a = made("a", [answered(asked[0]), failed(asked[1]), answered(asked[2]), open_question])
    b = made("b", [failed(asked[0]), failed(asked[1]), unjudged, failed(asked[3])])
    (one,) = compare.compare([a, b], ["correct"])
    assert (one.n, one.lost, one.means, one.failed) == (2, 1, (0.5, 0.0), (1, 2))
    assert dict(one.left_out) == {"could not be judged": 1, "does not apply": 1}


def test_documents_are_weighed_whole() -> None:
    """Forty wins about one document are one piece of evidence, forty about forty are forty."""

    def pair(gold: list[str]) -> list[Run]:
        golds = [example(n).gold[0] for n in range(40)]
        asked = [example(n, gold=(replace(golds[n], document=gold[n]),)) for n in range(40)]
        return [
            made("a", [answered(one, "wrong") for one in asked]),
            made("b", [answered(one) for one in asked]),
        ]

    (one,) = compare.compare(pair(["same.md"] * 40), ["correct"], grouped=True)
    assert (one.p, one.verdict) == (1.0, "not proven")
    (one,) = compare.compare(pair([f"{n}.md" for n in range(40)]), ["correct"], grouped=True)
    assert (one.p < 1e-6, one.verdict) == (True, "better")


@pytest.mark.parametrize(
    ("won", "lost", "passed", "word"),
    [
        (0, 0, True, "passed"),
        (20, 20, True, "passed"),
        (5, 60, False, "regression"),
        (60, 66, False, "not shown"),
    ],
)
def test_gate(won: int, lost: int, passed: bool, word: str) -> None:
    tied = 1000 - won - lost
    a = scores("a", flat([0.0] * won + [1.0] * lost + [1.0] * tied))
    b = scores("b", flat([1.0] * won + [0.0] * lost + [1.0] * tied))
    (one,) = compare.compare([a, b], margin=0.02)
    assert (compare.passes(one), compare.gated(one).split(":")[0]) == (passed, word)


def test_a_gate_lets_a_true_regression_through_in_three_of_a_hundred() -> None:
    """The truth is exactly the margin: a one-sided test at 2.5 % may pass it that often."""
    random, through = np.random.default_rng(11), 0
    for _ in range(250):
        changed = random.choice([1.0, 0.0, -1.0], 300, p=[0.05, 0.85, 0.1])
        base = np.where(changed == 0, 1.0, changed < 0)
        pair = [scores("a", flat(base.tolist())), scores("b", flat((base + changed).tolist()))]
        through += compare.passes(compare.compare(pair, margin=0.05)[0])
    assert through / 250 <= 0.05


def test_the_best_and_who_is_not_told_apart_from_it() -> None:
    random = np.random.default_rng(5)
    shares = {"low": 0.5, "high": 0.81, "near": 0.8}
    runs = [scores(name, flat((random.random(400) < share).tolist())) for name, share in shares.items()]
    found = compare.ranked(runs)
    assert [one["run"].split("@")[0] for one in found] == ["high", "near", "low"]
    assert [one["against the best"] for one in found] == ["", "not told apart", "worse"]
    assert found[0]["low"] < found[0]["correct"] < found[0]["high"]


@pytest.mark.parametrize(
    ("loser", "stage", "words"),
    [
        (answered(example(1), "wrong", rank=None), "search", "(lexical #1 dense #-) against not among 5 hits"),
        (answered(example(1), "", refused="Nothing."), "refusal", "Nothing."),
        (answered(example(1), "wrong", rank=4, cited=False), "ranking", "at 4 (lexical #4 dense #-); gold cited"),
        (answered(example(1), "wrong"), "reading", "gold cited: both"),
        (answered(example(1), "wrong", cited=False), "reading", "gold cited: one"),
        (failed(example(1)), "failed", "timeout"),
    ],
)  # fmt: skip
def test_where_two_runs_part(loser: compare.Outcome, stage: str, words: str) -> None:
    winner = answered(example(1))
    (duel,) = compare.duels(made("a", [winner]), made("b", [loser]), "correct")
    assert (duel.won, duel.stage) == (False, stage)
    assert words in duel.parting
    (back,) = compare.duels(made("b", [loser]), made("a", [winner]), "correct")
    assert (back.won, back.stage, back.parting) == (True, stage, duel.parting)
    assert back.answers == duel.answers[::-1]


def test_a_question_without_an_answer_is_won_by_refusing() -> None:
    asked = example(1, answerable=False, answers=(), gold=())
    a, b = answered(asked, "Anything."), answered(asked, "", refused="Nothing matches.")
    (duel,) = compare.duels(made("a", [a]), made("b", [b]), "correct")
    assert (duel.won, duel.stage, duel.answers) == (
        True,
        "refusal",
        ("Anything.", "refused: Nothing matches."),
    )
