"""The card's tables are generated from the figures, between marks, and nothing else in the file changes."""

from typing import Any

import pytest

from classification.learning.card import BEGIN, END, tables, write
from classification.records import LABELS

INTERVAL = [0.5, 0.4, 0.6]
FIGURES = {"accuracy": INTERVAL, "macro_f1": INTERVAL} | {f"f1_{label}": INTERVAL for label in LABELS}
ROWS: list[dict[str, Any]] = [
    {
        "table": "CV",
        "row": "second",
        **FIGURES,
        "macro_f1": [0.9, 0.8, 1.0],
        "ece": [0.02, 0.01, 0.03],
        "raw_macro_f1": 0.7,
    },
    {"table": "CV", "row": "first", **FIGURES},
    {"table": "ablation", "row": "whole", **dict.fromkeys(FIGURES, 0.25)},
    {"table": "confusion", "row": "intro", **{f"said_{label}": 7 for label in LABELS}}
    | {"sure_3": 1, "sure_2": 2, "sure_1": 3, "with_second": 4},
    {
        "table": "quick",
        "row": "quick reader",
        "right": "9 of 10",
        "right_if_clear": "7 of 7",
        "right_if_intro": "1 of 2",
    },
]


def test_models_stand_in_the_order_of_their_macro_f1_with_their_intervals():
    page = tables(ROWS)
    assert page.index("| first |") < page.index("| second |") < page.index("two careful people")
    assert "| 0.020 (0.010 to 0.030) | 0.700 |" in page


def test_every_row_of_a_table_has_as_many_cells_as_its_head():
    for part in tables(ROWS).split("\n\n"):
        widths = {line.count("|") for line in part.splitlines() if line.startswith("|")}
        assert len(widths) <= 1, part


def test_the_quick_reader_is_one_sentence():
    assert (
        "tried on labelled mail: 9 of 10 right, 7 of 7 of those that it called clear, 1 of 2 of the introductions."
        in tables(ROWS)
    )


def test_only_what_stands_between_the_marks_is_written_anew(tmp_path):
    path = tmp_path / "card.md"
    path.write_text(f"before\n\n{BEGIN}\nstale figures\n{END}\n\nafter\n")
    write(ROWS, path)
    write(ROWS, path)
    text = path.read_text()
    assert text.startswith(f"before\n\n{BEGIN}\n")
    assert text.endswith(f"{END}\n\nafter\n")
    assert "stale figures" not in text
    assert text.count("What is taken for what") == 1


def test_a_card_without_marks_is_left_alone(tmp_path):
    path = tmp_path / "card.md"
    path.write_text("by hand")
    with pytest.raises(ValueError, match="lacks the lines"):
        write(ROWS, path)
    assert path.read_text() == "by hand"
