"""A table, defined once."""

from dataclasses import dataclass
from typing import Literal

Origin = Literal["published", "mirror", "measured", "absent"]

MISSING = "–"
ORIGIN_COLUMN = "Data"
# Stands at every number of a mirror wherever published numbers are near.
MIRROR_MARK = "†"


@dataclass(frozen=True)
class Estimate:
    """A mean and its interval."""

    value: float
    low: float
    high: float
    digits: int | None = None
    """Decimals; None takes the column's."""


Cell = str | int | float | Estimate | None


@dataclass(frozen=True)
class Column:
    """One column."""

    key: str
    """Name in the CSV file, with the unit."""
    title: str
    """Heading, with the unit."""
    digits: int = 1
    """Decimals of numbers that are not whole."""


@dataclass(frozen=True)
class Row:
    """One row: a cell for each column, and where its numbers come from."""

    cells: tuple[Cell, ...]
    origin: Origin = "measured"
    dataset: str = ""
    """What the numbers were made on; stands behind the origin."""

    @property
    def mark(self) -> str:
        """The words that tell published from measured."""
        if self.origin == "absent":
            return "not evaluated"
        words = "mirror of" if self.origin == "mirror" else f"{self.origin},"
        return f"{words} {self.dataset}" if self.dataset else self.origin


@dataclass(frozen=True)
class Table:
    """Columns, rows and what must be said with them.

    A table with published rows shows the origin of every row in a column of its own.
    """

    key: str
    """Name of the table's files."""
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    lineage: str = ""
    """What the numbers were made from: protocol and hashes."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """Notes, and lineage at their end."""
        return (*self.notes, f"Made from: {self.lineage}.") if self.lineage else self.notes

    def __post_init__(self) -> None:
        """Refuse a row that does not fill the columns."""
        for row in self.rows:
            if len(row.cells) != len(self.columns):
                raise ValueError(
                    f"{self.key}: {len(row.cells)} cells for {len(self.columns)} columns: {row.cells}"
                )

    @property
    def shows_origin(self) -> bool:
        """Whether published and measured rows meet here."""
        return any(row.origin == "published" for row in self.rows)

    def texts(self, row: Row) -> list[str]:
        """The cells of a row as plain text; measured numbers of a mirror are marked."""
        mark = MIRROR_MARK if row.origin == "mirror" and self.shows_origin else ""
        return [
            format_cell(cell, column.digits, mark)
            for cell, column in zip(row.cells, self.columns, strict=True)
        ]

    @property
    def is_numeric(self) -> list[bool]:
        """For each column, whether it holds no words."""
        return [not any(isinstance(row.cells[i], str) for row in self.rows) for i in range(len(self.columns))]


def format_cell(cell: Cell, digits: int, mark: str = "") -> str:
    """A cell as plain text; an estimate with its interval in brackets.

    Args:
        cell: the content.
        digits: decimals.
        mark: stands behind a measured number; whole numbers are counts and have none.
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
