"""Tables on disk: Parquet files whose columns are declared once and checked when they are written and read.

A column has a name, a type, a fixed shape, a unit and a range, and may or may not be null. Unit and shape
are kept in the file's field metadata, so that a file in millimetres is refused where metres are expected. A
null means "not annotated"; inside an annotated array a joint that is not visible has confidence 0 and zeros.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float

from spinloop.errors import UserError
from spinloop.files import output, parsing, reading
from spinloop.files.gate import may_hold
from spinloop.tables.schema import Column, Layout, cells_of, check_table, to_arrow

ROWS_PER_GROUP = 2048
_KIND = "a readable Parquet file"


class TableWriter:
    """Takes rows one by one, checks them and writes them in row groups (see `open_writer`)."""

    def __init__(self, path: Path, layout: Layout, sink: pq.ParquetWriter) -> None:
        self._path, self._layout, self._sink = path, layout, sink
        self._names = {column.name for column in layout.columns}
        self._rows: list[Mapping[str, Any]] = []
        self._ids: set[str] = set()

    def write(self, row: Mapping[str, Any]) -> None:
        """Add one row: column names to values, arrays in the column's shape, None for null.

        Raises:
            UserError: the row has other columns. When a row group is full: a row of it breaks the layout, or
                an id has been written before.
        """
        if row.keys() != self._names:
            odd = min(self._names ^ row.keys())
            raise UserError(
                f"{self._path}: {odd}: column missing or unknown in {row.get('id')!r}; fix the reader"
            )
        self._rows.append(row)
        if len(self._rows) == ROWS_PER_GROUP:
            self.flush()

    def flush(self) -> None:
        """Check and write the rows that are buffered."""
        if not self._rows:
            return
        table = to_arrow(self._path, self._layout, self._rows)
        check_table(self._path, self._layout, table, self._ids)
        self._sink.write_table(table)
        self._rows = []


@contextmanager
def open_writer(path: Path, layout: Layout) -> Iterator[TableWriter]:
    """Write a table row by row; it appears under `path` only when the block ends without an error.

    Memory: one row group and the set of ids.
    """
    with (
        output(path) as stream,
        pq.ParquetWriter(stream, layout.schema(), compression="zstd", write_page_checksum=True) as sink,
    ):
        writer = TableWriter(path, layout, sink)
        yield writer
        writer.flush()


def save_table(path: Path, layout: Layout, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write all rows (see `TableWriter.write`)."""
    with open_writer(path, layout) as writer:
        for row in rows:
            writer.write(row)


def load_table(path: Path, layout: Layout, fix: str) -> pd.DataFrame:
    """Read and check a whole table.

    Args:
        path: the Parquet file.
        layout: what it must hold.
        fix: which command makes the file, for the message if it is absent or damaged.

    Returns:
        The file's rows in its order. An array column's cells are numpy arrays in the column's shape, or None
        where null (`stack` turns such a column into one array); whole numbers that may be null are pandas'
        Int32.

    Raises:
        UserError: the file is absent, unreadable, of another layout, or breaks it.
    """
    cells: dict[str, list[Any]] = {column.name: [] for column in layout.columns}
    for group in _read_groups(path, layout, fix):
        for name, values in group.items():
            cells[name] += values
    return pd.DataFrame(
        {column.name: pd.Series(cells[column.name], dtype=_pandas_type(column)) for column in layout.columns}
    )


def iterate_table(path: Path, layout: Layout, fix: str) -> Iterator[dict[str, Any]]:
    """Read and check a table row by row, one row group in memory (see `load_table`)."""
    for group in _read_groups(path, layout, fix):
        names = tuple(group)
        for row in zip(*group.values(), strict=True):
            yield dict(zip(names, row, strict=True))


def read_words(path: Path, layout: Layout, names: Sequence[str], fix: str) -> Iterator[tuple[Any, ...]]:
    """Cells of columns of words, row by row; nothing else of the file is read."""
    with _open(path, fix) as source:
        with parsing(str(path), _KIND, fix):
            _check_layout(path, source.schema_arrow, layout, fix)
        for index in range(source.num_row_groups):
            with parsing(str(path), _KIND, fix):
                group = _read_group(source, index, layout, names)
                columns = [group.column(name).to_pylist() for name in names]
            yield from zip(*columns, strict=True)


def count_rows(path: Path, fix: str) -> int:
    """Number of rows, from the file's footer."""
    with _open(path, fix) as source:
        return source.metadata.num_rows


def stack(cells: Iterable[Any], shape: Sequence[int]) -> Float[np.ndarray, "N ..."]:
    """One float32 array (N, *shape) of a column's cells; NaN where a cell is null."""
    blank = np.full(shape, np.nan, dtype=np.float32)
    rows = [blank if cell is None else np.asarray(cell, dtype=np.float32) for cell in cells]
    return np.stack(rows) if rows else np.zeros((0, *shape), dtype=np.float32)


def _read_groups(path: Path, layout: Layout, fix: str) -> Iterator[dict[str, list[Any]]]:
    """Cells by column, checked; one row group after the other."""
    known_ids: set[str] = set()
    names = [column.name for column in layout.columns]
    with _open(path, fix) as source:
        with parsing(str(path), _KIND, fix):
            _check_layout(path, source.schema_arrow, layout, fix)
        for index in range(source.num_row_groups):
            with parsing(str(path), _KIND, fix):
                group = _read_group(source, index, layout, names)
                check_table(path, layout, group, known_ids)
                cells = {name: cells_of(layout[name], group.column(name)) for name in names}
            yield cells


def _read_group(source: pq.ParquetFile, index: int, layout: Layout, names: Sequence[str]) -> pa.Table:
    """Columns of a row group; those that the file may lack are null."""
    present = [name for name in names if name in source.schema_arrow.names]
    group = source.read_row_group(index, columns=present)
    # Offsets that point outside, and words that are not UTF-8.
    group.validate(full=True)
    for name in names:
        if name not in present:
            field = layout.schema().field(name)
            group = group.append_column(field, pa.nulls(len(group), field.type))
    return group


def _pandas_type(column: Column) -> str:
    if column.shape or column.kind == "string":
        return "object"
    return "Int32" if column.kind == "int32" and column.is_nullable else column.kind


def _open(path: Path, fix: str) -> pq.ParquetFile:
    """An open file whose footer claims no more than a file of its size may hold."""
    with reading(path, _KIND, fix):
        source = pq.ParquetFile(path, page_checksum_verification=True)
        size, about = path.stat().st_size, source.metadata
        groups = [about.row_group(index) for index in range(about.num_row_groups)]
        chunks = [group.column(index) for group in groups for index in range(group.num_columns)]
        claimed = max(
            about.num_rows, sum(max(chunk.total_uncompressed_size, chunk.num_values) for chunk in chunks)
        )
        if any(chunk.file_path for chunk in chunks) or not may_hold(size, claimed):
            raise ValueError(f"it claims {claimed} bytes, or parts in other files")
        return source


def read_columns(path: Path, names: Sequence[str], fix: str) -> dict[str, list[Any]]:
    """Some columns of a table of any layout, as Python's values.

    Raises:
        UserError: the file is absent or unreadable, or has no such column.
    """
    with _open(path, fix) as source, parsing(str(path), _KIND, fix):
        for name in names:
            if name not in source.schema_arrow.names:
                raise UserError(f"{path}: {name}: no such column; {fix}")
        table = source.read(columns=list(names))
        table.validate(full=True)
        return table.to_pydict()


def _check_layout(path: Path, found: pa.Schema, layout: Layout, fix: str) -> None:
    expected = layout.schema()
    named = (found.metadata or {}).get(b"layout", b"").decode()
    if named and named != layout.name:
        raise UserError(f"{path}: a table of layout {named}, expected {layout.name}; {fix}")
    for field in expected:
        if field.name not in found.names:
            if layout[field.name].may_be_absent:
                continue
            raise UserError(f"{path}: {field.name}: column missing (layout {layout.name}); {fix}")
        other = found.field(field.name)
        if (other.type, other.metadata) != (field.type, field.metadata):
            was, wanted = _describe(other), _describe(field)
            raise UserError(f"{path}: {field.name}: expected {wanted}, found {was}; {fix}")
    surplus = sorted(set(found.names) - set(expected.names))
    if surplus:
        raise UserError(f"{path}: {surplus[0]}: unknown column (layout {layout.name}); {fix}")


def _describe(field: pa.Field) -> str:
    about = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
    return f"{field.type} of shape ({about.get('shape', '?')}) in {about.get('unit') or 'no unit'}"
