"""Text and picture encoders over small graphs that the test makes: one vector each, or one a token and a patch."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from lyceum.core.errors import ConfigError, InvalidInput
from lyceum.models.clip import Clip
from lyceum.search.visual import fit
from tests.toys import run

COLOURS = ("red", "green", "blue")


def graph(
    file: Path,
    nodes: Sequence[onnx.NodeProto],
    given: onnx.ValueInfoProto,
    made: str,
    *held: onnx.TensorProto,
) -> None:
    out = helper.make_tensor_value_info(made, TensorProto.FLOAT, None)
    body = helper.make_graph(nodes, "toy", [given], [out], initializer=held)
    onnx.save(helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(file))


def folder(at: Path, late: bool) -> Path:
    """Write a model that knows three colours: a picture is its mean pixel (or its pixels), a word its colour."""
    at.mkdir(parents=True)
    vocabulary = {"?": 0, **{name: number for number, name in enumerate(COLOURS, start=1)}}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="?"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(at / "tokenizer.json"))
    table = np.vstack([np.full((1, 3), 0.1), np.eye(3)]).astype(np.float32)
    words = helper.make_tensor_value_info("input_ids", TensorProto.INT64, [1, None])
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["tokens"], axis=0)]
    nodes += (
        [] if late else [helper.make_node("ReduceMean", ["tokens"], ["text_embeds"], axes=[1], keepdims=0)]
    )
    graph(at / "text_model.onnx", nodes, words, "tokens" if late else "text_embeds",
          numpy_helper.from_array(table, "table"))  # fmt: skip
    pixels = helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, [1, 3, 4, 4])
    if late:
        nodes = [helper.make_node("Reshape", ["pixel_values", "shape"], ["flat"]),
                 helper.make_node("Transpose", ["flat"], ["image_embeds"], perm=[0, 2, 1])]  # fmt: skip
        held = [numpy_helper.from_array(np.array([1, 3, 16], np.int64), "shape")]
    else:
        nodes = [helper.make_node("ReduceMean", ["pixel_values"], ["image_embeds"], axes=[2, 3], keepdims=0)]
        held = []
    graph(at / "vision_model.onnx", nodes, pixels, "image_embeds", *held)
    (at / "preprocessor_config.json").write_text(
        '{"size": 4, "image_mean": [0, 0, 0], "image_std": [1, 1, 1]}'
    )
    return at


def picture(*colours: str) -> bytes:
    """Return a PNG of stripes."""
    image = Image.new("RGB", (40, 40))
    for number, colour in enumerate(colours):
        image.paste(colour, (40 * number // len(colours), 0, 40, 40))
    made = BytesIO()
    image.save(made, "PNG")
    return made.getvalue()


@pytest.mark.parametrize("late", [False, True])
def test_the_nearest_picture(tmp_path: Path, late: bool) -> None:
    model = Clip(folder(tmp_path / "toy", late))
    texts = run(model.texts(["a red one", "blue"]))
    pictures = run(model.pictures([picture("red"), picture("blue"), picture("red", "blue")]))
    assert texts[0].ndim == pictures[0].ndim == (2 if late else 1)
    fits = [[fit(text, one) for one in pictures] for text in texts]
    assert np.argmax(fits[0]) in (0, 2 if late else 0)
    assert fits[1][1] == pytest.approx(1.0)
    assert fits[1][0] == pytest.approx(0.0, abs=1e-6)
    assert fits[1][2] == pytest.approx(1.0 if late else 2**-0.5, abs=0.01)


def test_what_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput):
        run(Clip(folder(tmp_path / "toy", late=False)).pictures([b"no"]))


def test_a_folder_that_lacks_a_file(tmp_path: Path) -> None:
    made = folder(tmp_path / "toy", late=False)
    (made / "vision_model.onnx").unlink()
    with pytest.raises(ConfigError, match="vision_model"):
        Clip(made)


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    made = folder(tmp_path / "toy", late=False)
    (made / "text_model.onnx").write_bytes(b"no")
    with pytest.raises(ConfigError, match="cannot be loaded"):
        run(Clip(made).texts(["red"]))
