"""The real fastembed with models of a few bytes in the place of CLIP's: they know three words and see mean colours."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engines.bundle import Bundle
from engines.encoder import resolve_style
from engines.errors import EngineError
from engines.words import open_text_encoder

pytest.importorskip("fastembed", reason="fastembed is not installed; run: pip install fastembed")

WORDS = {"red": (1, -1, -1), "green": (-1, 1, -1), "blue": (-1, -1, 1)}


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "clip"
    for part in ("text", "vision"):
        (folder / part).mkdir(parents=True)
    write_text(folder / "text")
    write_vision(folder / "vision")
    monkeypatch.setenv("BRUSHCAST_CLIP", str(folder))
    return folder


def write_text(folder: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers  # noqa: PLC0415 (comes with fastembed)

    vocabulary = {"[UNK]": 0, "[PAD]": 1, **{word: 2 + at for at, word in enumerate(WORDS)}}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    told = {
        "config.json": {"pad_token_id": 1},
        "tokenizer_config.json": {"model_max_length": 77, "pad_token": "[PAD]"},
        "special_tokens_map.json": {"unk_token": "[UNK]", "pad_token": "[PAD]"},
    }
    for name, content in told.items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    table = np.array([(0.01, 0, 0), (0, 0, 0), *WORDS.values()], np.float32)
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["vectors"]),
        helper.make_node("ReduceMean", ["vectors", "axis"], ["text_embeds"], keepdims=0),
    ]
    save(
        folder,
        nodes,
        ("input_ids", TensorProto.INT64, ["n", "t"]),
        "text_embeds",
        {"table": table, "axis": np.array([1], np.int64)},
    )


def write_vision(folder: Path) -> None:
    told = {
        "image_processor_type": "CLIPImageProcessor",
        "do_resize": True,
        "size": {"shortest_edge": 32},
        "do_center_crop": True,
        "crop_size": {"height": 32, "width": 32},
        "do_normalize": True,
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(told), encoding="utf-8")
    (folder / "config.json").write_text("{}", encoding="utf-8")
    nodes = [helper.make_node("ReduceMean", ["pixel_values", "axes"], ["image_embeds"], keepdims=0)]
    axes = {"axes": np.array([2, 3], np.int64)}
    save(folder, nodes, ("pixel_values", TensorProto.FLOAT, ["n", 3, "h", "w"]), "image_embeds", axes)


def save(
    folder: Path, nodes: list[onnx.NodeProto], told: tuple[str, int, list[object]], output: str, constants: dict
) -> None:
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(*told)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), folder / "model.onnx"
    )


def test_words_and_pictures_are_in_one_space(weights: Path) -> None:
    encoder = open_text_encoder(threads=1)
    red = encoder.of_text("red")
    assert np.allclose(red, np.array([1, -1, -1]) / 3**0.5, atol=1e-5)
    for colour, sign in (((220, 20, 20), 1), ((20, 220, 220), -1)):
        seen = encoder.of_picture(np.full((50, 70, 3), colour, np.uint8))
        assert np.linalg.norm(seen) == pytest.approx(1, abs=1e-5)
        assert float(seen @ red) * sign > 0.9


def test_a_style_told_in_words(weights: Path, tiny_bundle: Bundle, tmp_path: Path) -> None:
    for name, colour in {"sky": (200, 60, 60), "leaf": (60, 200, 60)}.items():  # BGR
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.full((40, 40, 3), colour, np.uint8))
    told: list[str] = []
    style = resolve_style("text:blue", tiny_bundle, threads=1, tell=told.append, library=tmp_path)
    assert np.allclose(style.tensors["mean"], np.array([60, 60, 200]) / 255, atol=0.01)
    assert told[-1] == "encoded sky.png as a style in " + told[-1].rpartition(" in ")[2]
    assert "not generated: a mix of the nearest of 2 of" in told[0]
    assert told[0].endswith(": sky.png 100%")


def test_weights_that_cannot_be_used(weights: Path) -> None:
    (weights / "text" / "model.onnx").write_bytes(b"damaged")
    with pytest.raises(EngineError, match="the weights of Qdrant/clip-ViT-B-32-text cannot be opened"):
        open_text_encoder(threads=1).of_text("red")
    (weights / "text" / "model.onnx").unlink()
    with pytest.raises(EngineError, match=r"lacks text/model\.onnx"):
        open_text_encoder()
