"""CLIP's ViT-B/32 through fastembed (ONNX Runtime, no torch): words and pictures as vectors of 512 numbers.

fastembed fetches the weights (about 0.6 GB) from the Hugging Face hub at the first use, into this program's cache.
Where there is no network, $BRUSHCAST_CLIP names a folder with two folders in it, `text` and `vision`, each what the hub
has of Qdrant/clip-ViT-B-32-text and -vision.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastembed
import numpy as np
from fastembed import ImageEmbedding, TextEmbedding
from loguru import logger
from numpy.typing import NDArray
from PIL import Image

from engines.caches import cache_folder
from engines.errors import EngineError
from engines.words import Vector, unit

FOLDER_VARIABLE = "BRUSHCAST_CLIP"
TEXT, VISION = "Qdrant/clip-ViT-B-32-text", "Qdrant/clip-ViT-B-32-vision"
_PARTS = {TEXT: "text", VISION: "vision"}

# Its own words on a download that failed go to stderr, some every few seconds; ours come with the error.
logger.disable("fastembed")


class Clip:
    """See `engines.words.TextEncoder`. Its parts are opened when they are first needed.

    threads: of the CPU; None: ONNX Runtime's own choice. tell: called with a line before the weights are fetched.
    Raises EngineError: a folder of weights that lacks some.
    """

    def __init__(self, *, threads: int | None = None, tell: Callable[[str], None] | None = None) -> None:
        self._threads = threads
        self._tell = tell
        told = os.environ.get(FOLDER_VARIABLE)
        self._folder = Path(told) if told else None
        if self._folder is not None:
            for part in _PARTS.values():
                if not (self._folder / part / "model.onnx").is_file():
                    raise EngineError(
                        f"${FOLDER_VARIABLE} names {self._folder}, which lacks {part}/model.onnx; it must hold `text` "
                        "and `vision`, each as the hub has them"
                    )
        self.name = f"{VISION} {self._folder or 'hub'} fastembed {fastembed.__version__}"
        self._text: Any = None
        self._vision: Any = None

    def of_text(self, words: str) -> Vector:
        """A unit vector (512,). Raises EngineError."""
        if self._text is None:
            self._text = self._opened(TextEmbedding, TEXT)
        return _first(self._text, words)

    def of_picture(self, image: NDArray[np.uint8]) -> Vector:
        """RGB uint8 (h, w, 3) -> a unit vector (512,). Raises EngineError."""
        if self._vision is None:
            self._vision = self._opened(ImageEmbedding, VISION)
        return _first(self._vision, Image.fromarray(image))

    def _opened(self, make: Any, model: str) -> Any:
        folder = cache_folder() / "clip"
        told: dict[str, Any] = {"cache_dir": str(folder)}
        if self._folder is not None:
            told["specific_model_path"] = str(self._folder / _PARTS[model])
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if self._tell is not None and self._folder is None and not any(folder.glob(f"*{model.partition('/')[2]}")):
                self._tell(f"fetching the weights of {model} from the Hugging Face hub, once ...")
            return make(model_name=model, threads=self._threads, cuda=False, **told)
        except Exception as error:  # the hub's, the network's, the file system's and ONNX Runtime's own errors
            raise EngineError(
                f"the weights of {model} cannot be opened ({_line(error)}); they are fetched once from the Hugging "
                f"Face hub (0.6 GB in all), or lie in a folder that ${FOLDER_VARIABLE} names"
            ) from error


def _first(model: Any, what: Any) -> Vector:
    try:
        (vector,) = model.embed([what])
    except Exception as error:
        raise EngineError(f"the text encoder failed: {_line(error)}") from error
    return unit(vector)


def _line(error: BaseException) -> str:
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words[:200]}" if words else type(error).__name__
