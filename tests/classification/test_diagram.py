"""The reliability diagram is a PNG; without matplotlib or a writable place, one line says so."""

import sys

import pytest

from classification.diagram import DiagramError, save_png
from classification.evaluation import Bin

BARS = [Bin(0.0, 0.5, 0, 0.0, 0.0), Bin(0.5, 1.0, 8, 0.8, 0.75)]


def test_the_picture_is_a_png(tmp_path):
    save_png(BARS, "8 emails", tmp_path / "bars.png")
    assert (tmp_path / "bars.png").read_bytes().startswith(b"\x89PNG")


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DiagramError, match=r"none/bars\.png: No such file"):
        save_png(BARS, "8 emails", tmp_path / "none" / "bars.png")


def test_without_matplotlib_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(DiagramError, match="pip install matplotlib"):
        save_png(BARS, "8 emails", tmp_path / "bars.png")
