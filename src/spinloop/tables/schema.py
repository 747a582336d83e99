"""What the columns of a table may hold, and the check of a table against it, a column at a time."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from jaxtyping import Shaped

from spinloop.errors import UserError

_TYPES = {"string": pa.string(), "int32": pa.int32(), "float32": pa.float32(), "float64": pa.float64()}
_CELL_TYPES = {
    "string": (str,),
    "int32": (int, np.integer),
    "float32": (int, float, np.number),
    "float64": (int, float, np.number),
}

Fault = tuple[int, str]
"""A row and what is wrong with it."""


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    name: str
    kind: Literal["string", "int32", "float32", "float64"]
    about: str
    """What it holds; kept in the file."""
    unit: str = ""
    shape: tuple[int, ...] = ()
    """Shape of a cell; () for a single value."""
    is_nullable: bool = False
    lower: float | None = None
    """Smallest value allowed (of every coordinate, if `has_confidence`)."""
    upper: float | None = None
    """Largest value allowed."""
    choices: tuple[str, ...] = ()
    """The words allowed; empty allows all."""
    has_confidence: bool = False
    """The last entry of the last axis is a confidence in [0, 1], and where it is 0 the rest is 0 too."""
    may_be_absent: bool = False
    """Files of earlier versions lack it; it is null there."""


@dataclass(frozen=True)
class Layout:
    """The columns of one kind of table."""

    name: str
    """Name and version, kept in the file: `record@2`."""
    columns: tuple[Column, ...]

    def schema(self) -> pa.Schema:
        """The file's schema, units and shapes in the fields' metadata."""
        return pa.schema([_field(column) for column in self.columns], metadata={"layout": self.name})

    def __getitem__(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)


def to_arrow(path: Path, layout: Layout, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Rows as columns of the layout's types.

    Args:
        path: the file that they are for, for the message.
        layout: the columns; every row has them.
        rows: column names to values, arrays in the column's shape, None for null.

    Raises:
        UserError: a cell is of another type or shape.
    """
    schema, arrays = layout.schema(), []
    for column, field in zip(layout.columns, schema, strict=True):
        cells = [row[column.name] for row in rows]
        array = _array_of_blocks(column, field.type, cells) if column.shape else _array(column, cells)
        if array is None:
            found = ((row["id"], _type_fault(column, cell)) for row, cell in zip(rows, cells, strict=True))
            key, fault = next((key, fault) for key, fault in found if fault)
            raise _error(path, key, column, fault)
        arrays.append(array)
    return pa.Table.from_arrays(arrays, schema=schema)


def _array(column: Column, cells: list[Any]) -> pa.Array | None:
    """Single values; None if one is of another type."""
    allowed = (*_CELL_TYPES[column.kind], type(None))
    if not all(issubclass(kind, allowed) for kind in set(map(type, cells))):
        return None
    return pa.array(cells, type=_TYPES[column.kind])


def _array_of_blocks(column: Column, kind: pa.DataType, cells: list[Any]) -> pa.Array | None:
    """Arrays of the column's shape; None if one is of another type or shape."""
    is_null = np.array([cell is None for cell in cells])
    try:
        block = np.array([cell for cell in cells if cell is not None], dtype=column.kind)
    except (TypeError, ValueError):
        return None
    if len(block) and block.shape[1:] != column.shape:
        return None
    flat = np.zeros((len(cells), math.prod(column.shape)), dtype=column.kind)
    flat[~is_null] = block.reshape(-1, flat.shape[1])
    return pa.FixedSizeListArray.from_arrays(pa.array(flat.reshape(-1)), type=kind, mask=pa.array(is_null))


def _type_fault(column: Column, cell: Any) -> str | None:
    """Why a cell does not fit the column's type or shape."""
    if cell is None:
        return None
    if not column.shape and isinstance(cell, _CELL_TYPES[column.kind]):
        return None
    if column.kind == "string":
        return f"expected a word, found {cell!r}"
    try:
        shape = np.asarray(cell, dtype=np.float64).shape
    except (TypeError, ValueError):
        return f"expected numbers, found {type(cell).__name__}"
    if shape != column.shape:
        return f"expected shape {column.shape}, found {shape}"
    return None if column.shape else f"expected a whole number, found {cell!r}"


def check_table(path: Path, layout: Layout, table: pa.Table, known_ids: set[str]) -> None:
    """Check nulls, words, ranges and ids, a column at a time.

    Args:
        path: the file, for the message.
        layout: what the table must hold; its types are right already.
        table: rows of the file.
        known_ids: ids of the rows before, to which those of these are added.

    Raises:
        UserError: names the file, the id of a column's first faulty row, the column and the fault.
    """
    for column in layout.columns:
        array = table.column(column.name).combine_chunks()
        fault = _null_fault(column, array)
        if fault is None:
            fault = _word_fault(column, array) if column.kind == "string" else _range_fault(column, array)
        if fault is not None:
            raise _error(path, table.column("id")[fault[0]].as_py(), column, fault[1])
    for key in table.column("id").to_pylist():
        if key in known_ids:
            raise UserError(f"{path}: id: {key!r} occurs twice; remove the duplicate from the source")
        known_ids.add(key)


def _error(path: Path, key: Any, column: Column, fault: str) -> UserError:
    return UserError(f"{path}: {key}: {column.name}: {fault}; fix it in the source")


def _null_fault(column: Column, array: pa.Array) -> Fault | None:
    if column.is_nullable or not array.null_count:
        return None
    return _first(array.is_null().to_numpy(zero_copy_only=False)), "null, but every row needs it"


def _word_fault(column: Column, array: pa.Array) -> Fault | None:
    words = array.to_pylist()
    if "" in words:
        return words.index(""), "expected a word, found ''"
    odd = set(words) - {None, *column.choices} if column.choices else None
    if not odd:
        return None
    row = next(row for row, word in enumerate(words) if word in odd)
    return row, f"expected one of {', '.join(column.choices)}, found {words[row]!r}"


def _range_fault(column: Column, array: pa.Array) -> Fault | None:
    """The first row with a number that is not finite or out of range, and the first of its faults."""
    rows = np.flatnonzero(array.is_valid().to_numpy(zero_copy_only=False))
    values = _block(column, array)
    values = values if len(rows) == len(array) else values[rows]
    if not values.size:
        return None
    faults = [(_first(wrong), describe) for wrong, describe in _range_tests(column, values) if wrong.any()]
    if not faults:
        return None
    row, describe = min(faults, key=lambda fault: fault[0])
    cell = values[row, ..., :-1] if column.has_confidence else values[row]
    return int(rows[row]), describe.format(low=cell.min(), high=cell.max())


def _range_tests(
    column: Column, values: Shaped[np.ndarray, "N ..."]
) -> Iterator[tuple[Shaped[np.ndarray, "N ..."], str]]:
    """Pairs of what is wrong and how to say it."""
    yield ~np.isfinite(values), "not finite"
    if column.has_confidence:
        confidence, values = values[..., -1], values[..., :-1]
        yield (confidence < 0) | (confidence > 1), "a confidence outside [0, 1]"
        yield (confidence == 0) & values.any(axis=-1), "a joint of confidence 0 has coordinates"
    if column.lower is not None:
        yield values < column.lower, f"{{low:g}} is below {column.lower:g} {column.unit}".rstrip()
    if column.upper is not None:
        yield values > column.upper, f"{{high:g}} is above {column.upper:g} {column.unit}".rstrip()


def _first(wrong: Shaped[np.ndarray, "N ..."]) -> int:
    return int(wrong.reshape(len(wrong), -1).any(axis=1).argmax())


def cells_of(column: Column, chunked: pa.ChunkedArray) -> list[Any]:
    """Cells of a column: None where null, arrays in the column's shape, single values as Python has them."""
    array = chunked.combine_chunks()
    if not column.shape:
        return array.to_pylist()
    block, is_valid = _block(column, array), array.is_valid().to_pylist()
    return [row if valid else None for row, valid in zip(block, is_valid, strict=True)]


def _block(column: Column, array: pa.Array) -> Shaped[np.ndarray, "N ..."]:
    """A column's numbers as one array; what stands under nulls is undefined."""
    if not column.shape:
        return array.fill_null(0).to_numpy(zero_copy_only=False)
    # `values` of a sliced or masked list array still holds the elements under the nulls, so rows line up.
    flat, width = array.values.to_numpy(zero_copy_only=False), math.prod(column.shape)
    start = array.offset * width
    return flat[start : start + len(array) * width].reshape(len(array), *column.shape)


def _field(column: Column) -> pa.Field:
    kind = _TYPES[column.kind]
    if column.shape:
        kind = pa.list_(pa.field("element", kind, nullable=False), math.prod(column.shape))
    about = {"unit": column.unit, "shape": "x".join(map(str, column.shape)), "about": column.about}
    return pa.field(column.name, kind, nullable=column.is_nullable, metadata=about)
