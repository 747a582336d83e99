"""Annotated bodies and joints by id, and posed bodies of the right gender."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from spinloop.body.files import GENDERS, BodyFile, load_body
from spinloop.body.model import BodyModel, Engine, make_body_model
from spinloop.errors import UserError
from spinloop.evaluation.protocols import JointProtocol
from spinloop.files import parsing
from spinloop.joints import COMMON24_TO_J17, H36M17, PROTOCOL17
from spinloop.tables.records import column_array
from spinloop.tables.table import read_columns

NEUTRAL = GENDERS[0]


def load_bodies(neutral: Path, female: Path, male: Path, engine: Engine) -> dict[str, BodyModel]:
    """The body models of the three genders.

    Raises:
        UserError: a file is absent or faulty, or is of another gender than its option says.
    """
    return make_body_models(load_body_files(neutral, female, male), engine)


def make_body_models(files: Mapping[str, BodyFile], engine: Engine) -> dict[str, BodyModel]:
    """Body models from arrays, by gender."""
    return {gender: make_body_model(body, engine) for gender, body in files.items()}


def load_body_files(neutral: Path, female: Path, male: Path) -> dict[str, BodyFile]:
    """Read the arrays of the three bodies, by gender (see `load_bodies`)."""
    bodies = {}
    for gender, path in zip(GENDERS, (neutral, female, male), strict=True):
        bodies[gender] = load_body(path)
        if bodies[gender].gender != gender:
            found = bodies[gender].gender
            raise UserError(f"{path}: gender: expected {gender}, found {found}; correct --body-{gender}")
    return bodies


def batches(n: int, size: int) -> Iterator[slice]:
    """Consecutive slices of at most `size` that cover 0 … n − 1."""
    return (slice(start, min(start + size, n)) for start in range(0, n, size))


def gendered_vertices(
    bodies: Mapping[str, BodyModel],
    pose: Float[Tensor, "B ..."],
    betas: Float[Tensor, "B 10"],
    genders: Sequence[str | None],
) -> Float[Tensor, "B V 3"]:
    """Vertices of each person on the body of its gender; metres, before translation.

    Args:
        bodies: `neutral`, `female` and `male`, all with the same vertices.
        pose: axis-angles (B, 72) or matrices (B, 24, 3, 3).
        betas: shape coefficients of the person's own body.
        genders: gender of each person; None is the neutral body.
    """
    rows, parts = [], []
    for gender, chosen in rows_by_gender(genders):
        rows.append(chosen)
        parts.append(bodies[gender].vertices(pose[chosen], betas[chosen]))
    return torch.cat(parts)[np.argsort(np.concatenate(rows))]


@torch.no_grad()
def chain_joints(
    bodies: Mapping[str, BodyModel],
    pose: Float[np.ndarray, "N ..."],
    betas: Float[np.ndarray, "N 10"],
    genders: Sequence[str | None],
) -> Float[np.ndarray, "N 24 3"]:
    """`joints.SMPL24` of each person on its body, metres; arguments as in `gendered_vertices`."""
    joints = np.empty((len(pose), 24, 3))
    for gender, chosen in rows_by_gender(genders):
        for part in batches(len(chosen), 256):
            rows = chosen[part]
            arrays = (torch.from_numpy(np.asarray(array[rows], np.float32)) for array in (pose, betas))
            joints[rows] = bodies[gender].joints24(*arrays).numpy()
    return joints


def rows_by_gender(genders: Sequence[str | None]) -> Iterator[tuple[str, Int[np.ndarray, " N"]]]:
    """Each gender that occurs, with its rows; None is the neutral body."""
    named = np.array([gender or NEUTRAL for gender in genders])
    for gender in np.unique(named):
        yield str(gender), np.flatnonzero(named == gender)


# The annotated joint that corresponds to each of the 17 H36M joints.
_COMMON_OF_H36M = [COMMON24_TO_J17[PROTOCOL17.index(name)] for name in H36M17]
_COLUMNS = ["id", "pose", "betas", "gender"]


class TrueBodies(NamedTuple):
    """Annotated bodies."""

    ids: list[str]
    pose: Float[np.ndarray, "N 72"]
    """Axis-angles; the root's is in camera axes."""
    betas: Float[np.ndarray, "N 10"]
    """Shape of the person's own body."""
    genders: list[str | None]
    """`female`, `male`, or None for the neutral body."""

    def take(self, rows: Sequence[int] | Int[np.ndarray, " M"]) -> "TrueBodies":
        """Some of the people, by row."""
        chosen = [int(row) for row in rows]
        return TrueBodies(
            [self.ids[row] for row in chosen],
            self.pose[chosen],
            self.betas[chosen],
            [self.genders[row] for row in chosen],
        )


def load_truth(path: Path) -> TrueBodies:
    """Read the bodies of a table: the truth of a mirror, or annotations with bodies.

    Raises:
        UserError: the file is absent or unreadable, a column is missing, or a person has no body.
    """
    fix = "make a split with bodies first (`spinloop preprocess`, or the mirror's stage)"
    columns = read_columns(path, _COLUMNS, fix)
    with parsing(str(path), "a table of people with bodies", fix):
        return true_bodies(columns, path)


def true_bodies(columns: Mapping[str, Sequence[Any]] | pd.DataFrame, path: Path) -> TrueBodies:
    """The annotated bodies of a table of people.

    Args:
        columns: `id`, `pose`, `betas` and `gender`.
        path: file of the table, for messages.

    Raises:
        UserError: a person has no body; the first is named.
    """
    ids = list(columns["id"])
    for name in ("pose", "betas"):
        for key, cell in zip(ids, columns[name], strict=True):
            if cell is None:
                raise UserError(f"{path}: {key}: {name} is not annotated; use a split with annotated bodies")
    pose, betas = (np.array(list(columns[name]), dtype=np.float64) for name in ("pose", "betas"))
    genders = [None if pd.isna(gender) else str(gender) for gender in columns["gender"]]
    return TrueBodies(ids, pose.reshape(-1, 72), betas.reshape(-1, 10), genders)


def annotated_joints(
    records: pd.DataFrame, protocol: JointProtocol, path: Path
) -> Float[np.ndarray, "N 17 3"]:
    """Annotated 3D joints of a table as the 17 H36M joints.

    Args:
        records: annotated people.
        protocol: whose joints and root must be annotated.
        path: file of the table, for messages.

    Returns:
        Metres, camera axes; NaN where a joint that the protocol does not need is not annotated.

    Raises:
        UserError: a person lacks a joint that the protocol needs; both are named.
    """
    annotated = column_array(records, "joints_3d").astype(np.float64)[:, _COMMON_OF_H36M]
    known = np.nan_to_num(annotated[..., 3]) > 0
    joints = np.where(known[..., None], annotated[..., :3], np.nan)
    for row in sorted({protocol.root_row, *protocol.joint_rows}):
        if not known[:, row].all():
            first = records["id"].iloc[int(np.flatnonzero(~known[:, row])[0])]
            raise UserError(
                f"{path}: {first}: joints_3d: {H36M17[row]} is not annotated; {protocol.name} needs it "
                "in every person, use a split that has it"
            )
    return joints


def rows_of(ids: Sequence[str], wanted: Sequence[str], path: Path) -> Int[np.ndarray, " M"]:
    """Row in `ids` of each wanted id.

    Args:
        ids: ids of a file.
        wanted: ids to find.
        path: the file, for messages.

    Raises:
        UserError: an id is missing; the first is named.
    """
    positions = pd.Index(ids).get_indexer(pd.Index(wanted))
    if (positions < 0).any():
        missing = np.flatnonzero(positions < 0)
        first = wanted[int(missing[0])]
        raise UserError(
            f"{path}: {first}: no such id ({len(missing)} missing); make both files from one split"
        )
    return positions
