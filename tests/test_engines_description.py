"""What is told of a model: counted from its files, worded for lines and captions."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from engines.bundle import Bundle, seal
from engines.description import METHODS, card_of, describe, parameters_words, rate_words
from engines.errors import BundleError


def test_a_bundle_that_takes_any_picture(tiny_bundle: Bundle) -> None:
    told = describe(tiny_bundle)
    assert (told.name, told.takes, told.styles) == ("tiny", "any", ("ember", "moss"))
    assert told.styles_words() == "any picture, 2 named"
    assert told.parameters == 3
    on_disk = sum(path.stat().st_size for path in tiny_bundle.folder.rglob("*") if path.is_file())
    assert told.megabytes == pytest.approx(on_disk / 1e6, abs=0.005)
    assert told.licence == "not stated"
    can = told.can
    assert (can.any_picture, can.mix, can.fit, can.background, can.strokes, can.memory) == (True,) * 6
    assert can.words() == "mix, fit, background, strokes, memory"
    assert told.method.name == "tiny"  # no method that is known
    assert json.loads(json.dumps(told.as_json()))["can"]["mix"] is True


def test_a_bundle_of_one_style(baked_bundle: Bundle) -> None:
    told = describe(baked_bundle)
    assert told.styles_words() == "its own: moss"
    assert told.parameters is None  # they are in the graphs
    assert (told.can.any_picture, told.can.mix, told.can.fit, told.can.background) == (False,) * 4


def test_a_bundle_of_named_styles(named_bundle: Bundle) -> None:
    told = describe(named_bundle)
    assert told.styles_words() == "2 named styles"
    assert (told.can.any_picture, told.can.mix, told.can.fit) == (False, True, True)
    assert told.method is METHODS["cin"]


def test_the_released_model_has_all_facts(live_bundle: Bundle) -> None:
    told = describe(live_bundle)
    assert "2304.00414" in told.method.paper
    assert told.licence == "Apache-2.0"
    assert told.parameters is not None and 1e6 < told.parameters < 4e6
    assert "# live" in card_of(live_bundle)


def test_every_network_has_its_paper() -> None:
    catalogue = pytest.importorskip("engines.nets.catalogue")
    assert set(METHODS) == set(catalogue.KINDS)
    assert all("arXiv" in method.paper and method.authors for method in METHODS.values())


def test_cards_and_weights_that_cannot_be_read_are_told(tiny_bundle: Bundle, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_bundle.folder, tmp_path / "copy"))
    bundle = Bundle.load(folder)
    (folder / "CARD.md").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(BundleError, match="cannot be read as text"):
        card_of(bundle)
    (folder / "CARD.md").unlink()
    assert card_of(bundle) == ""
    (folder / "weights.safetensors").write_bytes(b"no weights")
    with pytest.raises(BundleError, match="cannot be read; export"):
        describe(bundle)


def test_all_weights_are_counted(tiny_bundle: Bundle, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_bundle.folder, tmp_path / "copy"))
    weights = {"a": np.zeros((4, 5, 6), np.float16), "b": np.zeros((), np.float32), "c": np.zeros(7, np.int64)}
    save_file(weights, folder / "weights.safetensors")
    assert describe(seal(folder, tiny_bundle.manifest)).parameters == 128


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        (None, "-"),
        (3, "3"),
        (1000, "1 k"),
        (740_200, "740 k"),
        (1_818_412, "1.82 M"),
        (36_000_000, "36 M"),
        (2 * 10**9, "2000 M"),
    ],
)
def test_numbers_of_parameters_in_words(parameters: int | None, words: str) -> None:
    assert parameters_words(parameters) == words


def test_rates_in_words() -> None:
    assert [rate_words(rate) for rate in (127.66, 46.0, 1.0, 0.42)] == ["127.7", "46.0", "1.0", "0.42"]
