"""What a column may hold, and the check of rows against it.

Tables on disk: Parquet files whose columns are declared once and checked when they are written and read.

A column has a name, a type, a fixed shape, a unit, a range and a word on whether it may be null. Unit and
shape travel in the file's field metadata, so that a file that says millimetres is refused where metres are
meant. A null is "not annotated"; inside an annotated array a joint that is not visible has confidence 0 and
zeros.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float

from spinloop.errors import UserError, reason_of
from spinloop.files import atomic


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


ROWS_PER_GROUP = 2048


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


class TableWriter:
    """Takes rows one by one, checks them and writes them in row groups (see `open_writer`)."""

    def __init__(self, path: Path, layout: Layout, sink: pq.ParquetWriter) -> None:
        self._path, self._layout, self._sink = path, layout, sink
        self._rows: list[Mapping[str, Any]] = []
        self._ids: set[str] = set()

    def write(self, row: Mapping[str, Any]) -> None:
        """Add one row: column names to values, arrays in the column's shape, None for null.

        Raises:
            UserError: the row breaks the layout, or its id has been written before.
        """
        self._rows.append(row)
        if len(self._rows) == ROWS_PER_GROUP:
            self.flush()

    def flush(self) -> None:
        """Check and write the rows that are held."""
        if not self._rows:
            return
        check_rows(self._path, self._layout.columns, self._rows)
        require_unique_ids(self._path, (row["id"] for row in self._rows), self._ids)
        self._sink.write_table(_to_arrow(self._layout, self._rows))
        self._rows = []


@contextmanager
def open_writer(path: Path, layout: Layout) -> Iterator[TableWriter]:
    """Write a table row by row; it appears under `path` only when the block ends without an error.

    Memory: one row group and the set of ids.
    """
    with atomic(path) as temporary:
        with pq.ParquetWriter(
            temporary, layout.schema(), compression="zstd", write_page_checksum=True
        ) as sink:
            writer = TableWriter(path, layout, sink)
            yield writer
            writer.flush()


def save_table(path: Path, layout: Layout, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write all rows (see `TableWriter.write`)."""
    with open_writer(path, layout) as writer:
        for row in rows:
            writer.write(row)


def load_table(path: Path, layout: Layout, cure: str) -> pd.DataFrame:
    """Read and check a whole table.

    Args:
        path: the Parquet file.
        layout: what it must hold.
        cure: which command makes the file, for the message if it is absent.

    Returns:
        One row per row, in the file's order. An array column's cells are numpy arrays in the column's shape,
        or None where null (`stack` turns such a column into one array); whole numbers that may be null are
        pandas' Int32.

    Raises:
        UserError: the file is absent, unreadable, of another layout, or breaks it.
    """
    rows = list(iterate_table(path, layout, cure))
    series = {
        column.name: pd.Series([row[column.name] for row in rows], dtype=_pandas_type(column))
        for column in layout.columns
    }
    return pd.DataFrame(series)


def iterate_table(path: Path, layout: Layout, cure: str) -> Iterator[dict[str, Any]]:
    """Read and check a table row by row, one row group in memory (see `load_table`)."""
    seen: set[str] = set()
    source = _open_checked(path, layout, cure)
    with source:
        for index in range(source.num_row_groups):
            try:
                group = source.read_row_group(index)
            except (pa.ArrowException, OSError) as error:
                raise UserError(f"{path}: damaged ({reason_of(error)}); {cure}") from None
            rows = _from_arrow(layout, group)
            check_rows(path, layout.columns, rows)
            require_unique_ids(path, (row["id"] for row in rows), seen)
            yield from rows


def count_rows(path: Path, cure: str) -> int:
    """Number of rows, from the file's footer."""
    with _open(path, cure) as source:
        return source.metadata.num_rows


def stack(cells: Iterable[Any], shape: Sequence[int]) -> Float[np.ndarray, "N ..."]:
    """One float32 array (N, *shape) of a column's cells; NaN where a cell is null."""
    blank = np.full(shape, np.nan, dtype=np.float32)
    rows = [blank if cell is None else np.asarray(cell, dtype=np.float32) for cell in cells]
    return np.stack(rows) if rows else np.zeros((0, *shape), dtype=np.float32)


def require_unique_ids(path: Path, ids: Iterable[str], seen: set[str]) -> None:
    """Add ids to `seen`.

    Raises:
        UserError: an id is there twice.
    """
    for key in ids:
        if key in seen:
            raise UserError(f"{path}: id: {key!r} stands there twice; remove the duplicate from the source")
        seen.add(key)


def _field(column: Column) -> pa.Field:
    plain = {"string": pa.string(), "int32": pa.int32(), "float32": pa.float32(), "float64": pa.float64()}
    kind = plain[column.kind]
    if column.shape:
        kind = pa.list_(pa.field("element", kind, nullable=False), math.prod(column.shape))
    about = {"unit": column.unit, "shape": "x".join(map(str, column.shape)), "about": column.about}
    return pa.field(column.name, kind, nullable=column.is_nullable, metadata=about)


def _to_arrow(layout: Layout, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    schema = layout.schema()
    arrays = []
    for column, field in zip(layout.columns, schema, strict=True):
        cells = [row[column.name] for row in rows]
        arrays.append(_array(column, field.type, cells))
    return pa.Table.from_arrays(arrays, schema=schema)


def _array(column: Column, kind: pa.DataType, cells: list[Any]) -> pa.Array:
    if not column.shape:
        return pa.array(cells, type=kind)
    width = math.prod(column.shape)
    dtype = np.dtype(column.kind)
    flat = np.zeros((len(cells), width), dtype=dtype)
    for index, cell in enumerate(cells):
        if cell is not None:
            flat[index] = np.asarray(cell, dtype=dtype).reshape(width)
    absent = pa.array([cell is None for cell in cells], type=pa.bool_())
    return pa.FixedSizeListArray.from_arrays(pa.array(flat.reshape(-1)), type=kind, mask=absent)


def _from_arrow(layout: Layout, table: pa.Table) -> list[dict[str, Any]]:
    cells = {column.name: _cells(column, table.column(column.name)) for column in layout.columns}
    return [{name: values[index] for name, values in cells.items()} for index in range(table.num_rows)]


def _cells(column: Column, chunked: pa.ChunkedArray) -> list[Any]:
    array = chunked.combine_chunks()
    if not column.shape:
        return array.to_pylist()
    # `values` of a sliced or masked list array still holds the elements under the nulls, so rows line up.
    flat = array.values.to_numpy(zero_copy_only=False)
    start = array.offset * math.prod(column.shape)
    block = flat[start : start + len(array) * math.prod(column.shape)].reshape(len(array), *column.shape)
    return [row if valid else None for row, valid in zip(block, array.is_valid().to_pylist(), strict=True)]


def _pandas_type(column: Column) -> str:
    if column.shape or column.kind == "string":
        return "object"
    return "Int32" if column.kind == "int32" and column.is_nullable else column.kind


def _open(path: Path, cure: str) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path, page_checksum_verification=True)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; {cure}") from None
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path}: not a Parquet file ({reason_of(error)}); {cure}") from None


def _open_checked(path: Path, layout: Layout, cure: str) -> pq.ParquetFile:
    source = _open(path, cure)
    found, expected = source.schema_arrow, layout.schema()
    named = (found.metadata or {}).get(b"layout", b"").decode()
    if named and named != layout.name:
        raise UserError(f"{path}: a table of layout {named}, expected {layout.name}; {cure}")
    for field in expected:
        if field.name not in found.names:
            raise UserError(f"{path}: {field.name}: column missing (layout {layout.name}); {cure}")
        other = found.field(field.name)
        if (other.type, other.metadata) != (field.type, field.metadata):
            was, wanted = _describe(other), _describe(field)
            raise UserError(f"{path}: {field.name}: expected {wanted}, found {was}; {cure}")
    surplus = sorted(set(found.names) - set(expected.names))
    if surplus:
        raise UserError(f"{path}: {surplus[0]}: unknown column (layout {layout.name}); {cure}")
    return source


def _describe(field: pa.Field) -> str:
    about = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
    return f"{field.type} of shape ({about.get('shape', '?')}) in {about.get('unit') or 'no unit'}"
