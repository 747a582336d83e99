"""A table, defined once.

A table as Markdown, LaTeX, CSV and HTML; all from the same cells.
"""

import csv
import html
import io
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


_LATEX = {
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


def to_markdown(table: Table) -> str:
    """A pipe table with padded columns, and its notes as a list."""
    rows = [marked_headings(table), *(marked_texts(table, row) for row in table.rows)]
    cells = [[text.replace("|", "\\|") for text in row] for row in rows]
    widths = [max(3, *(len(row[i]) for row in cells)) for i in range(len(cells[0]))]
    rule = [
        "-" * (width - 1) + ":" if is_number else "-" * width
        for width, is_number in zip(widths, marked_numeric(table), strict=True)
    ]
    lines = [_padded(row, widths, marked_numeric(table)) for row in cells]
    lines.insert(1, "| " + " | ".join(rule) + " |")
    notes = [f"- {note}" for note in table.remarks]
    return "\n".join([*lines, *([""] if notes else []), *notes]) + "\n"


def to_latex(table: Table) -> str:
    """A `booktabs` table with caption and label."""
    layout = "".join("r" if is_number else "l" for is_number in marked_numeric(table))
    body = [" & ".join(map(_latex, marked_texts(table, row))) + r" \\" for row in table.rows]
    notes = [r"\par\smallskip\footnotesize " + " ".join(map(_latex, table.remarks))] if table.remarks else []
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_latex(table.title)}}}",
            rf"\label{{tab:{table.key}}}",
            rf"\begin{{tabular}}{{{layout}}}",
            r"\toprule",
            " & ".join(map(_latex, marked_headings(table))) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            *notes,
            r"\end{table}",
            "",
        ]
    )


def to_csv(table: Table) -> str:
    """Full-precision numbers; an estimate takes three columns; the origin is always given."""
    keys = [
        key for i, column in enumerate(table.columns) for key in _csv_keys(column, _has_interval(table, i))
    ]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*keys, "origin", "dataset"])
    for row in table.rows:
        values = [
            value for i, cell in enumerate(row.cells) for value in _csv_values(cell, _has_interval(table, i))
        ]
        writer.writerow([*values, row.origin, row.dataset])
    return stream.getvalue()


def to_html(table: Table) -> str:
    """A `<figure>` with a table that scrolls by itself, its caption and notes.

    The origin stands under the row's name, so that it stays in sight on a narrow screen.
    """
    head = "".join(
        f"<th scope=col{_number_class(flag)}>{html.escape(column.title)}</th>"
        for column, flag in zip(table.columns, table.is_numeric, strict=True)
    )
    body = "\n".join(_html_row(table, row) for row in table.rows)
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in table.remarks)
    parts = [
        f'<figure class="table{" narrow" if len(table.columns) <= 4 else ""}" id="table-{table.key}">',
        f"<figcaption>{html.escape(table.title)}</figcaption>",
        f"<div class=scroll><table>\n<thead><tr>{head}</tr></thead>",
        f"<tbody>\n{body}\n</tbody></table></div>",
        f"<ul class=notes>{notes}</ul>" if notes else "",
        "</figure>",
    ]
    return "\n".join(part for part in parts if part)


def marked_headings(table: Table) -> list[str]:
    """Titles of the columns; the origin's comes second where it is shown."""
    titles = [column.title for column in table.columns]
    return [titles[0], ORIGIN_COLUMN, *titles[1:]] if table.shows_origin else titles


def marked_texts(table: Table, row: Row) -> list[str]:
    """The cells of a row as text; the origin comes second where it is shown."""
    texts = table.texts(row)
    return [texts[0], row.mark, *texts[1:]] if table.shows_origin else texts


def marked_numeric(table: Table) -> list[bool]:
    """For each of these columns, whether it holds numbers."""
    flags = table.is_numeric
    return [flags[0], False, *flags[1:]] if table.shows_origin else flags


def _padded(row: list[str], widths: list[int], is_numeric: list[bool]) -> str:
    cells = [
        text.rjust(width) if is_number else text.ljust(width)
        for text, width, is_number in zip(row, widths, is_numeric, strict=True)
    ]
    return "| " + " | ".join(cells) + " |"


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)


def _has_interval(table: Table, index: int) -> bool:
    return any(isinstance(row.cells[index], Estimate) for row in table.rows)


def _csv_keys(column: Column, has_interval: bool) -> list[str]:
    return [column.key, f"{column.key}_low", f"{column.key}_high"] if has_interval else [column.key]


def _csv_values(cell: Cell, has_interval: bool) -> list[str]:
    if isinstance(cell, Estimate):
        return [repr(cell.value), repr(cell.low), repr(cell.high)]
    text = "" if cell is None else cell if isinstance(cell, str) else repr(cell)
    return [text, "", ""] if has_interval else [text]


def _html_row(table: Table, row: Row) -> str:
    cells = []
    for index, (text, is_number) in enumerate(zip(table.texts(row), table.is_numeric, strict=True)):
        inner = html.escape(text)
        if index == 0 and table.shows_origin:
            inner += f' <span class="origin {row.origin}">{html.escape(row.mark)}</span>'
        elif text == MISSING:
            inner = f'<span class=missing aria-label="not given">{inner}</span>'
        elif is_number and text.endswith(")"):
            value, interval = inner.split(" ", 1)
            inner = f"{value} <small>{interval}</small>"
        tag = "th scope=row" if index == 0 else "td"
        cells.append(f"<{tag}{_number_class(is_number)}>{inner}</{tag.split()[0]}>")
    marked = f" class={row.origin}" if table.shows_origin else ""
    return f"<tr{marked}>{''.join(cells)}</tr>"


def _number_class(is_number: bool) -> str:
    return " class=number" if is_number else ""
