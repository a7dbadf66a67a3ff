"""The model file: plain arrays in an npz archive; the same arrays always give the same bytes.

learning/training.py writes it, model.py reads it. No pickle is ever loaded, and shapes are checked before use.
"""

import hashlib
import io
import zipfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classification.records import LABELS

PACKAGED = Path(__file__).parent / "model.npz"
_EPOCH = (1980, 1, 1, 0, 0, 0)


class ModelFileError(ValueError):
    """The model file is missing, broken, or not one of ours."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Everything that training learned. F features, S signals, 4 labels.

    `keys` (F, uint32, ascending), `blocks` (F: number in features.BLOCKS) and `idf` (F) identify and weight the
    features. `table` (F x 4), `signals` (S x 4) and `bias` (4) are log-odds. `calibration` (2 x 4) is a scale and a
    shift per label that turn them into probabilities.
    """

    keys: NDArray[np.uint32]
    blocks: NDArray[np.uint8]
    idf: NDArray[np.float16]
    table: NDArray[np.float16]
    signals: NDArray[np.float32]
    bias: NDArray[np.float32]
    calibration: NDArray[np.float32]


def save(weights: Weights, path: Path) -> None:
    """Write the arrays as a deterministic zip of npy files: same arrays, same bytes."""
    with zipfile.ZipFile(path, "w") as archive:
        for item in fields(weights):
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.ascontiguousarray(getattr(weights, item.name)), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{item.name}.npy", date_time=_EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, buffer.getvalue(), compresslevel=9)


def load(path: Path) -> tuple[Weights, str]:
    """Read a model file; return its weights and its version, which is a hash of the file. Raises ModelFileError."""
    try:
        raw = path.read_bytes()
        with np.load(io.BytesIO(raw), allow_pickle=False) as archive:
            arrays: dict[str, Any] = {item.name: archive[item.name] for item in fields(Weights)}
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ModelFileError(f"{path} is not a model file: {error}") from error
    weights = Weights(**arrays)
    if weights.table.shape != (len(weights.keys), len(LABELS)) or len(weights.idf) != len(weights.keys):
        raise ModelFileError(f"{path} holds arrays that do not fit together")
    return weights, hashlib.sha256(raw).hexdigest()[:12]
