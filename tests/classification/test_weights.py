"""The packaged file is small; equal arrays give equal bytes; a file that is no model is refused with the reason."""

import io
import pickle
import zipfile

import numpy as np
import pytest

from classification import weights
from classification.model import Classifier


def test_the_packaged_model_is_small_and_named_by_its_bytes(classifier):
    assert weights.PACKAGED.stat().st_size < 5_000_000
    assert classifier.version == Classifier.load().version
    assert len(classifier.version) == 12


def test_saving_what_was_loaded_makes_the_same_bytes(tmp_path):
    learned, _ = weights.load(weights.PACKAGED)
    weights.save(learned, tmp_path / "a.npz")
    weights.save(learned, tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes() == weights.PACKAGED.read_bytes()


def test_a_missing_or_broken_file_is_refused_by_name(tmp_path):
    with pytest.raises(weights.ModelFileError, match=r"none\.npz"):
        weights.load(tmp_path / "none.npz")
    (tmp_path / "broken.npz").write_bytes(weights.PACKAGED.read_bytes()[:1000])
    with pytest.raises(weights.ModelFileError, match=r"broken\.npz"):
        weights.load(tmp_path / "broken.npz")


def test_a_pickle_is_never_loaded(tmp_path):
    array = io.BytesIO()
    np.save(array, np.array([pickle.dumps("x"), None], dtype=object), allow_pickle=True)
    path = tmp_path / "evil.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("keys.npy", array.getvalue())
    with pytest.raises(weights.ModelFileError):
        weights.load(path)
