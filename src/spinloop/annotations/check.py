"""What a column may hold, and the check of rows against it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from spinloop.errors import UserError


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    name: str
    kind: Literal["string", "int32", "float32", "float64"]
    about: str
    """What it holds, in words; kept in the file."""
    unit: str = ""
    shape: tuple[int, ...] = ()
    """Shape of a cell; () for a single value."""
    is_nullable: bool = False
    """Whether a row may lack it."""
    lower: float | None = None
    """Smallest value allowed (of every coordinate, if `has_confidence`)."""
    upper: float | None = None
    """Largest value allowed."""
    choices: tuple[str, ...] = ()
    """The words allowed; empty allows all."""
    has_confidence: bool = False
    """The last entry of the last axis is a confidence in [0, 1], and where it is 0 the rest is 0 too."""


def check_rows(path: Path, columns: Sequence[Column], rows: Sequence[Mapping[str, Any]]) -> None:
    """Check names, types, shapes and ranges.

    Raises:
        UserError: names the file, the first faulty row's id, the column and the fault.
    """
    names = {column.name for column in columns}
    for row in rows:
        if row.keys() != names:
            odd = sorted(names ^ row.keys())[0]
            raise UserError(f"{path}: {odd}: column missing or unknown in {row.get('id')!r}; mend the reader")
    for column in columns:
        cells = [row[column.name] for row in rows]
        for row, cell in zip(rows, cells, strict=True):
            fault = _fault(column, cell)
            if fault:
                raise UserError(f"{path}: {row['id']}: {column.name}: {fault}; mend it in the source")


def _fault(column: Column, cell: Any) -> str | None:
    if cell is None:
        return None if column.is_nullable else "null, but every row needs it"
    if column.kind == "string":
        return _string_fault(column, cell)
    try:
        values = np.asarray(cell, dtype=np.float64)
    except (TypeError, ValueError):
        return f"expected numbers, found {type(cell).__name__}"
    if values.shape != column.shape:
        return f"expected shape {column.shape}, found {values.shape}"
    if column.kind == "int32" and not isinstance(cell, int | np.integer):
        return f"expected a whole number, found {cell!r}"
    return _number_fault(column, values)


def _string_fault(column: Column, cell: Any) -> str | None:
    if not isinstance(cell, str) or not cell:
        return f"expected a word, found {cell!r}"
    if column.choices and cell not in column.choices:
        return f"expected one of {', '.join(column.choices)}, found {cell!r}"
    return None


def _number_fault(column: Column, values: np.ndarray) -> str | None:
    if not np.isfinite(values).all():
        return "not finite"
    if column.has_confidence:
        confidence, values = values[..., -1], values[..., :-1]
        if confidence.min() < 0 or confidence.max() > 1:
            return "a confidence outside [0, 1]"
        if values[confidence == 0].any():
            return "a joint of confidence 0 has coordinates"
    if column.lower is not None and values.min() < column.lower:
        return f"{values.min():g} is below {column.lower:g} {column.unit}".rstrip()
    if column.upper is not None and values.max() > column.upper:
        return f"{values.max():g} is above {column.upper:g} {column.unit}".rstrip()
    return None
