"""The bodies that predictions and fits are compared with, by id."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float, Int

from spinloop.errors import UserError
from spinloop.files import require_file

_COLUMNS = ["id", "pose", "betas", "gender"]


class Truth(NamedTuple):
    """Annotated bodies."""

    ids: list[str]
    pose: Float[np.ndarray, "N 72"]
    """Axis-angles; the root's is in camera axes."""
    betas: Float[np.ndarray, "N 10"]
    """Shape of the person's own body."""
    genders: list[str | None]
    """`female`, `male`, or None for the neutral body."""

    def take(self, rows: Sequence[int] | Int[np.ndarray, " M"]) -> "Truth":
        """The people at these positions."""
        chosen = [int(row) for row in rows]
        return Truth(
            [self.ids[row] for row in chosen],
            self.pose[chosen],
            self.betas[chosen],
            [self.genders[row] for row in chosen],
        )


def load_truth(path: Path) -> Truth:
    """Read `id`, `pose`, `betas` and `gender` of a table: a mirror's truth, or annotations with bodies.

    Raises:
        UserError: the file is absent or unreadable, a column is missing, or a person has no body.
    """
    require_file(path, "make the split first (`spinloop preprocess`, or the mirror's stage)")
    try:
        table = pq.read_table(path, columns=_COLUMNS)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path}: {str(error).splitlines()[0]}; make the table again") from None
    for name in _COLUMNS:
        if name not in table.column_names:
            raise UserError(f"{path}: {name}: no such column; this table holds no bodies, use one that does")
    columns = table.to_pydict()
    for name in ("pose", "betas"):
        for key, cell in zip(columns["id"], columns[name], strict=True):
            if cell is None:
                raise UserError(f"{path}: {key}: {name} is not annotated; use a split with annotated bodies")
    pose, betas = (np.array(columns[name], dtype=np.float64) for name in ("pose", "betas"))
    return Truth(columns["id"], pose.reshape(-1, 72), betas.reshape(-1, 10), columns["gender"])


def rows_of(ids: Sequence[str], wanted: Sequence[str], path: Path) -> Int[np.ndarray, " M"]:
    """Position in `ids` of each wanted id.

    Args:
        ids: what a file holds.
        wanted: what is needed of it.
        path: the file, for the message.

    Raises:
        UserError: the file lacks a wanted id; the first is named.
    """
    positions = pd.Index(ids).get_indexer(pd.Index(wanted))
    if (positions < 0).any():
        missing = np.flatnonzero(positions < 0)
        first = wanted[int(missing[0])]
        raise UserError(
            f"{path}: {first}: no such id ({len(missing)} missing); make both files from one split"
        )
    return positions
