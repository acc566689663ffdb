"""What a question needs: learnt where it can be, no better than chance where it cannot, and said either way."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from lyceum.core.errors import ConfigError, InvalidInput
from lyceum.gateway.config import parsed
from lyceum.gateway.difficulty import NAMES, Difficulty, features, learn, opened
from lyceum.gateway.live import Live
from tests.gateway.pools import Made, call

EASY = "Who wrote the report on {}?"
HARD = "What is the average change of {} between 2019 and 2023, and how does it compare with {}?"


def asked(count: int, seed: int = 1, informative: bool = True) -> tuple[list[str], list[tuple[float, float]]]:
    """Return questions and the scores of a cheap and a dear model; the cheap one fails at what is hard."""
    drawn = random.Random(seed)
    questions, scores = [], []
    for _ in range(count):
        hard = drawn.random() < 0.5
        names = [f"{drawn.choice('ABCDEF')}{drawn.randrange(9999)}" for _ in range(2)]
        questions.append((HARD if hard else EASY).format(*names))
        fails = hard if informative else drawn.random() < 0.5
        dear = drawn.random() < 0.9
        scores.append((float(dear and (not fails or drawn.random() < 0.1)), float(dear)))
    return questions, scores


def test_easy_questions_go_to_the_cheap_one_at_little_loss() -> None:
    learnt = learn(*asked(800), loss=0.02)
    told = learnt["measured"]
    assert told["shares"][0] == pytest.approx(0.5, abs=0.08)
    assert told["loss"] <= 0.03
    assert told["loss_interval"][0] <= told["loss"] <= told["loss_interval"][1]
    assert told["loss_by_chance"] > 0.15
    made = Difficulty(learnt)
    questions, scores = asked(400, seed=2)  # what it has not seen
    lost = [s[1] - s[made.chosen(q)] for q, s in zip(questions, scores, strict=True)]
    assert sum(lost) / 400 < 0.04


def test_control_where_form_says_nothing_it_does_no_better_than_chance() -> None:
    told = learn(*asked(800, informative=False), loss=0.02)["measured"]
    assert told["shares"][0] < 0.15  # to lose little it has to leave the cheap one alone
    assert told["loss"] == pytest.approx(told["loss_by_chance"], abs=0.03)


def test_a_greater_loss_buys_a_greater_share() -> None:
    shares = [learn(*asked(600), loss=loss)["measured"]["shares"][0] for loss in (0.0, 0.05, 1.0)]
    assert shares == sorted(shares)
    assert shares[2] == 1.0


def test_three_models() -> None:
    drawn = random.Random(3)
    questions, scores = asked(900)
    three = [(one[0], one[0] if drawn.random() < 0.5 else one[1], one[1]) for one in scores]
    told = learn(questions, three)["measured"]
    assert sum(told["shares"]) == pytest.approx(1)
    assert told["shares"][2] < 0.9


def test_too_few_questions() -> None:
    with pytest.raises(InvalidInput):
        learn(*asked(99))


def test_features_have_names_and_are_numbers_for_any_text() -> None:
    for text in ("", " ", "?", "How many？", "赤水冷库的温度是多少？", "x" * 100_000, "\ud83d", "A\nB"):
        assert len(features(text)) == len(NAMES)
        assert all(abs(one) < 100 for one in features(text))
    shown = dict(zip(NAMES, features("How many boxes did Ann Lee ship in 2020?"), strict=True))
    assert (shown["amount"], shown["how"], shown["not"]) == (1, 1, 0)
    assert shown["names"] > 0 < shown["numbers"]
    assert dict(zip(NAMES, features("比较两家公司的收入"), strict=True))["compare"] == 1


def test_the_order_of_targets_and_what_follows_when_one_fails() -> None:
    learnt: dict[str, Any] = {"mean": [0.0] * len(NAMES), "scale": [1.0] * len(NAMES), "threshold": 0.5}
    lanes = [Made(name).lane(number) for number, name in enumerate("abc")]
    for biases, order in (((5, 5), [0, 1, 2]), ((-5, 5), [1, 2, 0]), ((-5, -5), [2, 1, 0])):
        made = Difficulty({**learnt, "weights": [[bias, *[0.0] * len(NAMES)] for bias in biases]})
        assert [one.number for one in made(lanes, call(), 0.0)] == order
        assert [one.number for one in made(lanes[1:], call(), 0.0)] == [one for one in order if one]


TOML = """
[[model]]
name = "chat"
route = "difficulty"
targets = [{url = "http://cheap"}, {url = "http://dear"}]
"""


def test_it_is_off_until_something_was_learnt(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(TOML)
    live = Live(file)
    assert "lyceum gateway difficulty" in live.problem
    (tmp_path / "difficulty").mkdir()
    kept = tmp_path / "difficulty" / "chat.json"
    for bad in ("{", "[]", '{"mean": 1}'):
        kept.write_text(bad)
        with pytest.raises(ConfigError):
            opened(kept, 2)
    kept.write_text(json.dumps(learn(*asked(400))))
    with pytest.raises(ConfigError):
        opened(kept, 3)
    live.use(parsed(TOML))
    chosen = live.serving.route.pools["chat"]
    easy, hard = call(EASY.format("A1")), call(HARD.format("A1", "B2"))
    assert [chosen.order(chosen.lanes, one, 0.0)[0].target.url for one in (easy, hard)] == [
        "http://cheap",
        "http://dear",
    ]
    live.close()
