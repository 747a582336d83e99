"""A table, defined once, and its forms: Markdown and LaTeX (tabulate, pandas) and CSV (pandas).

The HTML form is a macro of the page's template, which uses the same texts.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd
from tabulate import tabulate

Origin = Literal["published", "mirror", "measured", "absent"]

METRIC_TITLES = {
    "pa_mpjpe_mm": "PA-MPJPE, mm",
    "mpjpe_mm": "MPJPE, mm",
    "pve_mm": "PVE, mm",
    "pck_percent": "PCK, %",
    "auc_percent": "AUC, %",
    "pa_pck_percent": "Aligned: PCK, %",
    "pa_auc_percent": "Aligned: AUC, %",
    "mask_accuracy_percent": "Mask accuracy, %",
    "mask_f1": "Mask F1",
    "parts_accuracy_percent": "Parts accuracy, %",
    "parts_f1": "Parts F1",
}
MISSING = "–"
ORIGIN_TITLE = "Data"
# Marks every number measured on a mirror wherever published numbers are in the same table.
MIRROR_MARK = "†"


@dataclass(frozen=True)
class Estimate:
    """A mean and its confidence interval."""

    value: float
    low: float
    high: float
    digits: int | None = None
    """Decimals; None takes the column's."""


Cell = str | int | float | Estimate | None


@dataclass(frozen=True)
class TableColumn:
    """One column of a table."""

    key: str
    """Name in the CSV file, with the unit."""
    title: str
    """Heading, with the unit."""
    digits: int = 1
    """Decimals of numbers that are not whole."""


@dataclass(frozen=True)
class TableRow:
    """One row: a cell for each column, and where its numbers come from."""

    cells: tuple[Cell, ...]
    origin: Origin = "measured"
    dataset: str = ""
    """What the numbers were measured on."""

    @property
    def mark(self) -> str:
        """Origin and dataset in words, e.g. `published, 3DPW` or `mirror of 3DPW`."""
        if self.origin == "absent":
            return "not evaluated"
        words = "mirror of" if self.origin == "mirror" else f"{self.origin},"
        return f"{words} {self.dataset}" if self.dataset else self.origin


@dataclass(frozen=True)
class Table:
    """Columns, rows and notes.

    A table with published rows shows the origin of every row in a column of its own.

    Raises:
        ValueError: a row has not as many cells as there are columns.
    """

    key: str
    """Name of the table's files."""
    title: str
    columns: tuple[TableColumn, ...]
    rows: tuple[TableRow, ...]
    notes: tuple[str, ...] = ()
    lineage: str = ""
    """Protocol and hashes of the inputs that the numbers were made from."""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row.cells) != len(self.columns):
                raise ValueError(
                    f"{self.key}: {len(row.cells)} cells for {len(self.columns)} columns: {row.cells}"
                )

    @property
    def remarks(self) -> tuple[str, ...]:
        """Notes, with the lineage last."""
        return (*self.notes, f"Made from: {self.lineage}.") if self.lineage else self.notes

    @property
    def shows_origin(self) -> bool:
        """Whether the table has published rows."""
        return any(row.origin == "published" for row in self.rows)

    @property
    def is_numeric(self) -> list[bool]:
        """For each column, whether it holds numbers only."""
        return [not any(isinstance(row.cells[i], str) for row in self.rows) for i in range(len(self.columns))]

    def texts(self, row: TableRow) -> list[str]:
        """The cells of a row as plain text, with `MIRROR_MARK` where it is needed."""
        mark = MIRROR_MARK if row.origin == "mirror" and self.shows_origin else ""
        return [
            format_cell(cell, column.digits, mark)
            for cell, column in zip(row.cells, self.columns, strict=True)
        ]


def estimate(metrics: Mapping[str, Any], name: str) -> Estimate | None:
    """A number and its interval from flat metrics (`name`, `name_low`, `name_high`); None if absent."""
    if name not in metrics:
        return None
    digits = 3 if name.endswith("f1") else None
    return Estimate(metrics[name], metrics[f"{name}_low"], metrics[f"{name}_high"], digits)


def format_cell(cell: Cell, digits: int, mark: str = "") -> str:
    """A cell as plain text; an estimate with its interval in brackets.

    Args:
        cell: the content.
        digits: decimals.
        mark: added to a measured number; counts (integers) get none.
    """
    if cell is None:
        return MISSING
    if isinstance(cell, str):
        return cell
    if isinstance(cell, Estimate):
        digits = digits if cell.digits is None else cell.digits
        value, low, high = (format_cell(number, digits) for number in (cell.value, cell.low, cell.high))
        return f"{value}{mark} ({low} to {high})"
    text = f"{cell:,}" if isinstance(cell, int) else f"{cell:.{digits}f}{mark}"
    return text.replace("-", "−")


def percent(share: float) -> str:
    """A share as whole percent, with a space that does not break."""
    return f"{100 * share:.0f}\u00a0%"


def signed(value: float, digits: int = 1) -> str:
    """A number with its sign; zero has none."""
    text = f"{value:+.{digits}f}".replace("-", "−")
    return text[1:] if not float(text[1:]) else text


def to_markdown(table: Table) -> str:
    """A pipe table, and its notes as a list."""
    titles, rows, is_numeric = _with_origin(table)
    text = tabulate(
        [[cell.replace("|", "\\|") for cell in row] for row in rows],
        headers=[title.replace("|", "\\|") for title in titles],
        tablefmt="pipe",
        disable_numparse=True,
        colalign=["right" if flag else "left" for flag in is_numeric] if rows else None,
    )
    notes = "".join(f"\n- {note}" for note in table.remarks)
    return f"{text}\n{notes}\n" if notes else f"{text}\n"


def to_latex(table: Table) -> str:
    """A `booktabs` table with caption and label, and its notes below."""
    titles, rows, is_numeric = _with_origin(table)
    frame = pd.DataFrame([list(map(_latex, row)) for row in rows], columns=range(len(titles)), dtype=object)
    text = frame.to_latex(
        index=False,
        # pandas takes the headings as format strings.
        header=[_latex(title).replace("{", "{{").replace("}", "}}") for title in titles],
        escape=False,
        column_format="".join("r" if flag else "l" for flag in is_numeric),
        caption=_latex(table.title),
        label=f"tab:{table.key}",
    )
    notes = r"\par\smallskip\footnotesize " + " ".join(map(_latex, table.remarks)) + "\n"
    text = text.replace(r"\begin{table}", r"\begin{table}" + "\n" + r"\centering", 1)
    return text.replace(r"\end{table}", (notes if table.remarks else "") + r"\end{table}")


def to_csv(table: Table) -> str:
    """Numbers in full precision; an estimate takes three columns; the origin is always given."""
    has_interval = [
        any(isinstance(row.cells[i], Estimate) for row in table.rows) for i in range(len(table.columns))
    ]
    keys = [
        f"{column.key}{end}"
        for column, flag in zip(table.columns, has_interval, strict=True)
        for end in (("", "_low", "_high") if flag else ("",))
    ]
    rows = [[*_csv_values(row, has_interval), row.origin, row.dataset] for row in table.rows]
    frame = pd.DataFrame(rows, columns=[*keys, "origin", "dataset"], dtype=object)
    return frame.to_csv(index=False, lineterminator="\n")


def _csv_values(row: TableRow, has_interval: list[bool]) -> Iterator[str | int | float | None]:
    for cell, flag in zip(row.cells, has_interval, strict=True):
        if isinstance(cell, Estimate):
            yield from (cell.value, cell.low, cell.high)
        else:
            yield from (cell, None, None) if flag else (cell,)


def _with_origin(table: Table) -> tuple[list[str], list[list[str]], list[bool]]:
    """Titles, texts of the rows and numeric columns; the origin is the second column where it is shown."""
    titles, is_numeric = [column.title for column in table.columns], table.is_numeric
    rows = [table.texts(row) for row in table.rows]
    if table.shows_origin:
        titles.insert(1, ORIGIN_TITLE)
        is_numeric.insert(1, False)
        rows = [[first, row.mark, *others] for row, (first, *others) in zip(table.rows, rows, strict=True)]
    return titles, rows, is_numeric


_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
        "{": r"\{",
        "}": r"\}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "–": "--",
        "−": "$-$",
        "\u00a0": "~",
        "β": r"$\beta$",
        "×": r"$\times$",
        "†": r"\textsuperscript{\dag}",
        "→": r"$\rightarrow$",
        "²": r"\textsuperscript{2}",
    }
)


def _latex(text: str) -> str:
    return text.translate(_LATEX)
