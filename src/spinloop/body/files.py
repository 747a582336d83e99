"""The body file: the arrays of one SMPL-format body, with SPIN's regressors and part labels.

Keys, shapes and axes are those of SMPL's own files, for real SMPL and the free body alike: metres, y up, the
body faces +z, its left arm points to +x; the root's parent is −1 (or 2³²−1, its unsigned form).
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt8

from spinloop.errors import UserError
from spinloop.files import output, read_npz
from spinloop.joints import EXTRA9, H36M17, SMPL24, SMPL_PARENTS

N_VERTICES = 6890
N_JOINTS = len(SMPL24)
N_SHAPE = 10
N_POSE_FEATURES = (N_JOINTS - 1) * 9
PART_NAMES = ("left_arm", "right_arm", "head", "left_leg", "right_leg", "torso")
GENDERS = ("neutral", "female", "male")

_FIX = "remake it with `spinloop prepare_body` or `spinloop convert_body`"
_WITH = "convert again with `spinloop convert_body --regressors FOLDER`, SPIN's files are in its data.tar.gz"
_OF_SPIN = {
    "J_regressor_extra": f"without J_regressor_extra.npy a body can be fitted only; {_WITH}",
    "J_regressor_h36m": f"without J_regressor_h36m.npy nothing can be scored; {_WITH}",
    "part_labels": f"without vertex_texture.npy and cube_parts.npy there are no parts; {_WITH}",
}


@dataclass(frozen=True)
class BodyFile:
    """One body as arrays, named by the keys of the file. V = 6890 vertices, F faces."""

    v_template: Float[np.ndarray, "V 3"]
    """Mean shape in the T-pose, metres."""
    shapedirs: Float[np.ndarray, "V 3 10"]
    """Displacement of each vertex per unit of each shape coefficient, metres."""
    posedirs: Float[np.ndarray, "V 3 207"]
    """Displacement of each vertex per entry of (rotation − identity) of joints 1–23, row by row, metres."""
    J_regressor: Float[np.ndarray, "24 V"]
    """Joints of the T-pose from its vertices."""
    weights: Float[np.ndarray, "V 24"]
    """Skinning weights; rows sum to one."""
    kintree_table: Int[np.ndarray, "2 24"]
    """First row the parents, second row the joints."""
    f: Int[np.ndarray, "F 3"]
    """Triangles, counter-clockwise seen from outside."""
    J_regressor_extra: Float[np.ndarray, "9 V"]
    """Rows `joints.EXTRA9`, applied to posed vertices."""
    J_regressor_h36m: Float[np.ndarray, "17 V"]
    """Rows `joints.H36M17`, applied to posed vertices; for evaluation."""
    part_labels: UInt8[np.ndarray, " F"]
    """1–6 per face: `PART_NAMES` in order."""
    gender: str
    """One of `GENDERS`."""

    @property
    def parents(self) -> tuple[int, ...]:
        """Parent of each of the 24 joints, −1 for the root."""
        return (-1, *(int(parent) for parent in self.kintree_table[0, 1:]))


def load_body(path: Path) -> BodyFile:
    """Read a body file and check it.

    Raises:
        UserError: the file is absent or damaged, or an array is missing, has the wrong shape, is not finite
            or is otherwise invalid; the key is named.
    """
    wanted = [field.name for field in fields(BodyFile)]
    arrays = read_npz(path, _FIX, wanted)
    for key in wanted:
        if key not in arrays:
            fix = _OF_SPIN.get(key, _FIX)
            raise UserError(f"{path}: {key}: missing; {fix}")
    return check_body(path, arrays)


def save_body(path: Path, body: BodyFile | Mapping[str, np.ndarray]) -> None:
    """Write a body file, atomically, with reproducible bytes; a mapping may lack arrays of SPIN's files."""
    arrays: dict[str, Any] = {}
    if isinstance(body, BodyFile):
        arrays = {field.name: getattr(body, field.name) for field in fields(body)}
    else:
        arrays |= body
    with output(path) as stream:
        np.savez_compressed(stream, **arrays)


def check_body(path: Path, arrays: dict[str, np.ndarray]) -> BodyFile:
    """Checked arrays of a body file, in the types of `BodyFile`.

    Args:
        path: the file, for the message.
        arrays: by key; of more than ten shape directions the first ten are kept.

    Raises:
        UserError: see `load_body`.
    """
    body = BodyFile(
        v_template=_floats(path, arrays, "v_template", (N_VERTICES, 3)),
        shapedirs=_shape_directions(path, arrays),
        posedirs=_floats(path, arrays, "posedirs", (N_VERTICES, 3, N_POSE_FEATURES)),
        J_regressor=_regressor(path, arrays, "J_regressor", N_JOINTS),
        weights=_floats(path, arrays, "weights", (N_VERTICES, N_JOINTS)),
        kintree_table=_tree(path, arrays["kintree_table"]),
        f=_faces(path, arrays["f"]),
        J_regressor_extra=_regressor(path, arrays, "J_regressor_extra", len(EXTRA9)),
        J_regressor_h36m=_regressor(path, arrays, "J_regressor_h36m", len(H36M17)),
        part_labels=_labels(path, arrays["part_labels"], len(arrays["f"])),
        gender=str(arrays["gender"]),
    )
    if np.abs(body.weights.sum(1) - 1).max() > 1e-3 or body.weights.min() < -1e-6:
        raise UserError(f"{path}: weights: rows must be non-negative and sum to one; {_FIX}")
    if body.gender not in GENDERS:
        raise UserError(
            f"{path}: gender: expected one of {', '.join(GENDERS)}, found {body.gender!r}; {_FIX}"
        )
    return body


def _shape(path: Path, key: str, found: np.ndarray, wanted: tuple[int, ...]) -> None:
    if found.shape != wanted:
        raise UserError(f"{path}: {key}: expected shape {wanted}, found {found.shape}; {_FIX}")


def _floats(path: Path, arrays: dict[str, np.ndarray], key: str, shape: tuple[int, ...]) -> np.ndarray:
    array = arrays[key]
    _shape(path, key, array, shape)
    if not np.issubdtype(array.dtype, np.number) or not np.isfinite(array).all():
        raise UserError(f"{path}: {key}: not all entries are finite numbers; {_FIX}")
    return np.ascontiguousarray(array, dtype=np.float32)


def _shape_directions(path: Path, arrays: dict[str, np.ndarray]) -> np.ndarray:
    # SMPL 1.1 files hold 300 directions, the first ten of which are those of 1.0.
    cut = {"shapedirs": arrays["shapedirs"][..., :N_SHAPE]}
    return _floats(path, cut, "shapedirs", (N_VERTICES, 3, N_SHAPE))


def _regressor(path: Path, arrays: dict[str, np.ndarray], key: str, n_rows: int) -> np.ndarray:
    rows = _floats(path, arrays, key, (n_rows, N_VERTICES))
    # Rows of published regressors sum to one within 4e-4, those of a transposed or shifted file do not.
    if np.abs(rows.sum(1) - 1).max() > 1e-2:
        worst = int(np.abs(rows.sum(1) - 1).argmax())
        raise UserError(f"{path}: {key}: row {worst} sums to {rows[worst].sum():.3f}, not 1; {_FIX}")
    return rows


def _tree(path: Path, table: np.ndarray) -> np.ndarray:
    _shape(path, "kintree_table", table, (2, N_JOINTS))
    table = table.astype(np.int64)
    table[0, 0] = -1
    if tuple(table[0]) != SMPL_PARENTS or tuple(table[1]) != tuple(range(N_JOINTS)):
        raise UserError(f"{path}: kintree_table: not SMPL's tree of 24 joints; {_FIX}")
    return table


def _faces(path: Path, faces: np.ndarray) -> np.ndarray:
    if faces.ndim != 2 or faces.shape[1] != 3 or not np.issubdtype(faces.dtype, np.integer):
        raise UserError(f"{path}: f: expected whole numbers of shape (F, 3), found {faces.shape}; {_FIX}")
    if faces.min() < 0 or faces.max() >= N_VERTICES:
        raise UserError(f"{path}: f: a triangle has a vertex outside 0–{N_VERTICES - 1}; {_FIX}")
    return faces.astype(np.int32)


def _labels(path: Path, labels: np.ndarray, n_faces: int) -> np.ndarray:
    _shape(path, "part_labels", labels, (n_faces,))
    if labels.min() < 1 or labels.max() > len(PART_NAMES):
        raise UserError(f"{path}: part_labels: expected 1–{len(PART_NAMES)}; {_FIX}")
    return labels.astype(np.uint8)
