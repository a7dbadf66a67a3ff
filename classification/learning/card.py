"""Writes the tables of the model card between its marks, from validation.py's rows."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from classification.records import LABELS

BEGIN = "<!-- tables: written by classification.learning.validation, not by hand -->"
END = "<!-- end of tables -->"
_FIGURES = ("accuracy", "macro_f1", *(f"f1_{label}" for label in LABELS))
_TITLES = ("accuracy", "macro-F1", *LABELS)
_TABLES = {
    "CV": "**Cross-validation** (5 folds, all 3,464 emails; each figure with its 95 % bootstrap interval over emails)",
    "LOSO": "**Leave one source out** (the seven largest, predictions pooled)",
    "lead": "**How far this model is ahead** on the same emails (paired bootstrap; calibrated, the other too unless its name says not)",
    "threads": "**Threads apart, senders not** (5 folds; much as dev.jsonl was cut off from train.jsonl)",
    "reader": "**A reader beside this model** on 240 emails of train and dev, weighed back to all (bootstrap within strata)",
    "sure": "**This model by how sure the readers were** (cross-validation; classes that are not among the emails count 0)",
    "learning": "**With less data** (cross-validation)",
}
_SORTED = ("CV", "LOSO")
_UPPER_MARK = "| two careful people (upper mark) | 0.93 |" + " |" * 7

Row = dict[str, Any]


def write(rows: Sequence[Row], path: Path) -> None:
    """Replace the text between the marks of a card. Raises ValueError if it has no marks."""
    text = path.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path} lacks the lines {BEGIN} and {END}")
    path.write_text(f"{before}{BEGIN}\n\n{tables(rows)}\n\n{END}{after}", encoding="utf-8")


def tables(rows: Sequence[Row]) -> str:
    """Return all tables as Markdown."""
    of = {name: [row for row in rows if row["table"] == name] for name in {row["table"] for row in rows}}
    parts = []
    for name, title in _TABLES.items():
        chosen = of.get(name, [])
        if name in _SORTED:
            chosen = sorted(chosen, key=lambda row: float(row["macro_f1"][0]))
        lines = [_with_intervals(row) for row in chosen]
        head = _head("", *_TITLES, "calibration error", "macro-F1 before calibration")
        parts.append("\n".join([title, "", *head, *lines, *([_UPPER_MARK] if name == "CV" else [])]))
    title = "**What each part brings** (cross-validation, before calibration; all but the first without the second copy of written mail)"
    ablation = [title, "", *_head("model", *_TITLES)]
    parts.append("\n".join([*ablation, *(_plain(row) for row in of.get("ablation", []))]))
    parts.append("\n".join(_confusion(of.get("confusion", []))))
    parts += [
        f"The quick reader of the further readings, tried on labelled mail: {row['right']} right, {row['right_if_clear']} of those that it"
        f" called clear, {row['right_if_intro']} of the introductions."
        for row in of.get("quick", [])
    ]
    parts += [
        f"Right by the label or by the reader's second choice: {row['accuracy']}." for row in of.get("either", [])
    ]
    return "\n\n".join(parts)


def _head(*titles: str) -> list[str]:
    return ["| " + " | ".join(titles) + " |", "| --- " * len(titles) + "|"]


def _with_intervals(row: Row) -> str:
    cells = ["{:.3f} ({:.3f} to {:.3f})".format(*row[name]) if name in row else "" for name in (*_FIGURES, "ece")]
    raw = f"{row['raw_macro_f1']:.3f}" if "raw_macro_f1" in row else ""
    return "| " + " | ".join([row["row"], *cells, raw]) + " |"


def _plain(row: Row) -> str:
    return "| " + " | ".join([row["row"], *(f"{row[name]:.3f}" for name in _FIGURES)]) + " |"


def _confusion(rows: Sequence[Row]) -> list[str]:
    lines = ["**What is taken for what** (cross-validation), and how sure the readers were", ""]
    lines += _head("true \\ said", *LABELS, "clear", "likely", "toss-up", "with a second choice")
    names = (*(f"said_{label}" for label in LABELS), "sure_3", "sure_2", "sure_1", "with_second")
    return lines + ["| " + " | ".join([row["row"], *(str(row[name]) for name in names)]) + " |" for row in rows]
