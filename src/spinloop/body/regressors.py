"""Readers of the joint regressors and part labels that SPIN publishes for SMPL.

The order of a regressor's rows is checked by the positions of its joints in the T-pose, because other
projects publish such files with another order.
"""

from collections.abc import Sequence
from itertools import pairwise, product
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from spinloop.errors import UserError
from spinloop.files import read_npy
from spinloop.joints import EXTRA9, H36M17, SMPL24

_FIX = "take it from SPIN's data archive (data.tar.gz)"
# Joints of the midline lie within 1 cm of it with the published regressors, hips about 10 cm away.
_MIDLINE_M = 0.03
_LIMBS = ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
# Joints of the midline, upwards in the T-pose; the order within a group is not checked.
_HEIGHTS = {
    EXTRA9: (("extra_pelvis_mpii",), ("extra_spine_h36m",), ("extra_thorax_mpii", "extra_neck_lsp"),
             ("extra_jaw_h36m",), ("extra_head_h36m", "extra_head_top_lsp")),
    H36M17: (("pelvis",), ("spine",), ("neck",), ("jaw",), ("head",)),
}  # fmt: skip


def load_regressor(
    path: Path,
    rows: Sequence[str],
    template: Float[np.ndarray, "V 3"],
    joints: Float[np.ndarray, "24 3"],
) -> Float[np.ndarray, "R V"]:
    """Read a joint regressor (`.npy`) and check its shape and the order of its rows.

    Args:
        path: the file.
        rows: names that the rows must have, `joints.EXTRA9` or `joints.H36M17`.
        template: T-pose vertices of the body, metres.
        joints: `joints.SMPL24` of the T-pose, metres.

    Raises:
        UserError: the file is absent or not an array, or it has another shape, rows that do not sum to one,
            or another order of rows.
    """
    matrix = load_array(path)
    expected = (len(rows), len(template))
    if matrix.shape != expected or not np.isfinite(matrix).all():
        raise UserError(f"{path}: expected numbers of shape {expected}, found {matrix.shape}; {_FIX}")
    sums = np.abs(matrix.sum(1) - 1)
    if sums.max() > 1e-2:
        raise UserError(f"{path}: row {int(sums.argmax())} does not sum to 1; {_FIX}")
    _check_order(path, rows, matrix @ template, joints)
    return matrix.astype(np.float32)


def load_part_labels(texture: Path, cube: Path, n_faces: int) -> UInt8[np.ndarray, " F"]:
    """Part of each face, 1–6, from SPIN's texture and its table of colours.

    Args:
        texture: `vertex_texture.npy`, (1, F, 2, 2, 2, 3): one colour for each face.
        cube: `cube_parts.npy`, (100, 92, 17): the part that a colour in hundredths stands for.
        n_faces: of the body.

    Raises:
        UserError: a file is absent or has another shape, or a face has a colour without a part.
    """
    colors, parts = load_array(texture), load_array(cube)
    if colors.shape != (1, n_faces, 2, 2, 2, 3):
        raise UserError(f"{texture}: expected shape (1, {n_faces}, 2, 2, 2, 3), found {colors.shape}; {_FIX}")
    if parts.ndim != 3:
        raise UserError(f"{cube}: expected three axes, found shape {parts.shape}; {_FIX}")
    # As in the published code: colours are float32, truncated to hundredths.
    cells = np.floor(100 * colors[0, :, 0, 0, 0].astype(np.float32)).astype(int)
    if (cells < 0).any() or (cells >= parts.shape).any():
        raise UserError(f"{texture}: a colour outside {cube.name}; {_FIX}")
    labels = parts[tuple(cells.T)]
    if not np.isin(labels, range(1, 7)).all():
        raise UserError(f"{cube}: a face without one of the parts 1–6; {_FIX}")
    return labels.astype(np.uint8)


def load_array(path: Path) -> np.ndarray:
    """An `.npy` file of numbers.

    Raises:
        UserError: the file is absent or damaged, or contains something else.
    """
    array = read_npy(path, _FIX)
    if array.dtype.kind not in "fiu":
        raise UserError(f"{path}: not an array of numbers; {_FIX}")
    return array


def _check_order(
    path: Path, rows: Sequence[str], positions: Float[np.ndarray, "R 3"], joints: Float[np.ndarray, "24 3"]
) -> None:
    fault = _mispositions_limb(rows, positions, joints) or _mispositions_midline(rows, positions, joints)
    if fault:
        raise UserError(f"{path}: {fault}, another order of rows than SPIN's; use SPIN's file")


def _mispositions_limb(
    rows: Sequence[str], positions: Float[np.ndarray, "R 3"], joints: Float[np.ndarray, "24 3"]
) -> str | None:
    limbs = [name for name in SMPL24 if name.endswith(_LIMBS)]
    places = joints[[SMPL24.index(name) for name in limbs]]
    for number, (name, place) in enumerate(zip(rows, positions, strict=True)):
        nearest = limbs[int(np.linalg.norm(places - place, axis=1).argmin())]
        if (plain := name.removeprefix("extra_")) in limbs and nearest != plain:
            return f"row {number} should be the {plain} but lies at the {nearest}"
    return None


def _mispositions_midline(
    rows: Sequence[str], positions: Float[np.ndarray, "R 3"], joints: Float[np.ndarray, "24 3"]
) -> str | None:
    middle = joints[SMPL24.index("pelvis"), 0]
    groups = [[rows.index(name) for name in group] for group in _HEIGHTS[tuple(rows)]]
    for row in (row for group in groups for row in group):
        if abs(positions[row, 0] - middle) > _MIDLINE_M:
            return f"row {row} should be the {rows[row]} but lies beside the midline"
    for below, above in pairwise(groups):
        for low, high in product(below, above):
            if positions[low, 1] >= positions[high, 1]:
                return f"row {high} should be the {rows[high]} but lies below the {rows[low]}"
    return None
