"""How alike the words of a question and a statement are: known answers by hand, and what must not count."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lyceum.answer.likeness import HIGH, LOW, UNDER, Words, likeness

# Eight words along the axes, one of each direction and its opposite, so that a list of all has the mean 0.
AXES = {
    name: np.eye(4, dtype=np.float32)[row // 2] * (1 - 2 * (row % 2)) for row, name in enumerate("aAbBcCdD")
}


def words(*names: str, **more: tuple[float, ...]) -> Words:
    """Return words on the axes, and others (`name=vector`)."""
    held = [(name, AXES[name]) for name in names] + [(name, np.array(v)) for name, v in more.items()]
    vectors = np.array([vector for _, vector in held], np.float16).reshape(len(held), 4)
    return Words(terms=tuple(name for name, _ in held), vectors=vectors)


def shares(asked: Words, *texts: Words, under: tuple[Words, ...] = ()) -> list[float]:
    found = likeness(asked, texts, under or texts)
    assert found is not None
    return [float(share) for share in found]


EVERY = words(*"aAbBcCdD")


def test_a_question_whose_words_all_stand_there_is_said_whole() -> None:
    whole, none = shares(words("a", "A"), EVERY, words("b", "B"))
    assert whole == pytest.approx(1.0, abs=1e-3)
    assert none == 0


def test_a_like_word_counts_by_its_cosine_between_the_bounds() -> None:
    near, far = 0.6, -0.6
    one = words("A", x=(near, 0.8, 0, 0), y=(far, -0.8, 0, 0))
    (share,) = shares(words("a"), one)
    mean = (AXES["a"] * 1 + 2 * AXES["A"]) / 7  # the statement stands alone and under its headings
    moved, like = AXES["a"] - mean, np.array([near, 0.8, 0, 0]) - mean
    cosine = float(moved @ like / np.linalg.norm(moved) / np.linalg.norm(like))
    assert LOW < cosine < HIGH
    assert share == pytest.approx((cosine - LOW) / (HIGH - LOW), abs=2e-3)


def test_a_rare_word_weighs_more() -> None:
    rare, common = shares(words("a", "b"), words("a", "A", "B"), words("b", "A", "B"), words("b", "A", "B"))[
        :2
    ]
    first, second = (math.log(1 + 4 / (seen + 0.5)) for seen in (1, 2))
    assert rare > common
    assert rare / (rare + common) == pytest.approx(first / (first + second), abs=0.05)


def test_a_word_of_the_headings_counts_less() -> None:
    alone, under = (words("b", "B"), words("a", "A", "b", "B")), (words("a", "A", "b", "B"),) * 2
    heading, own = shares(words("a"), *alone, under=under)
    assert own == pytest.approx(1.0, abs=1e-3)
    assert 0 < heading <= min((UNDER - LOW) / (HIGH - LOW), 1) + 1e-3


def test_the_direction_that_all_words_share_says_nothing() -> None:
    shared = np.array([5, 0, 0, 0], np.float16)
    moved = [
        Words(terms=one.terms, vectors=one.vectors + shared) for one in (words("b"), EVERY, words("c", "C"))
    ]
    whole, none = shares(moved[0], *moved[1:])
    assert whole > 0.9
    assert none < 0.1


def test_without_words_there_is_nothing_to_compare() -> None:
    nothing = words()
    assert likeness(nothing, [EVERY], [EVERY]) is None
    assert likeness(EVERY, [nothing], [nothing]) is None
    assert shares(words("a"), nothing, EVERY)[0] == 0
