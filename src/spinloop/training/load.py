"""Reading one training split: keypoints, packed crops and, where they exist, annotations in 3D."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from spinloop.annotations.crops import CropReader
from spinloop.annotations.merge import load_keypoints
from spinloop.annotations.record import column_array, load_records
from spinloop.errors import UserError
from spinloop.files import require_file
from spinloop.fitting.energy import FITTED_JOINTS
from spinloop.training.data import Split

_ANNOTATED = {"joints_3d": (24, 4), "pose": (72,), "betas": (10,)}


class SplitFiles(NamedTuple):
    """Files of one training split."""

    keypoints: Path
    """Merged keypoints."""
    crops: Path
    """Packed crops."""
    annotations: Path | None
    """Its record table, for 3D joints and bodies; None leaves them out."""


def load_split(name: str, files: SplitFiles, min_joints: int) -> Split:
    """The people of a split that can be trained on.

    Left out are people without a packed crop (their image could not be read) and those of whom too few joints
    are seen.

    Args:
        name: of the split, as its ids begin.
        files: where it lies.
        min_joints: joints that must be seen, of those that a fit counts.

    Raises:
        UserError: a file is absent, damaged or of another split, or no person is left.
    """
    keypoints, crops, annotations = files
    for path in (keypoints, crops):
        require_file(path, f"make it, or take {name} out of train.mixture")
    reader, frame = CropReader(crops), load_keypoints(keypoints)
    _check_name(name, list(frame["id"]), keypoints)
    frame = pd.DataFrame(frame[frame["id"].isin(list(reader.index_of))])
    if frame.empty:
        raise UserError(f"{crops}: ids: none is in {keypoints}; give the crops of the same split")
    frame = pd.DataFrame(frame[n_fitted(np.stack(list(frame["keypoints"]))) >= min_joints])
    if frame.empty:
        raise UserError(f"{keypoints}: nobody has {min_joints} joints; lower train.min_joints")
    ids = [str(key) for key in frame["id"]]
    rows = [reader.index_of[key] for key in ids]
    return Split(
        ids=ids,
        keypoints=np.stack(list(frame["keypoints"])),
        center=np.stack(list(frame["center"])),
        scale=np.asarray(frame["scale"], np.float64),
        packed=lambda row: reader.image(rows[row]),
        **_annotations(annotations, ids),
    )


def n_fitted(keypoints: Float[np.ndarray, "N 49 3"]) -> Int[np.ndarray, " N"]:
    """Joints with confidence, of those that a fit counts."""
    return (keypoints[:, list(FITTED_JOINTS), 2] > 0).sum(1)


def _check_name(name: str, ids: Sequence[str], path: Path) -> None:
    """Refuse a table without rows, or with rows of another split."""
    if not ids:
        raise UserError(f"{path}: no rows; make the table again")
    stranger = next((key for key in ids if not key.startswith(f"{name}/")), None)
    if stranger is not None:
        raise UserError(f"{path}: id: {stranger!r} is not of {name}; give each split a file of its own name")


def _annotations(path: Path | None, ids: Sequence[str]) -> dict[str, np.ndarray]:
    """3D joints, pose and betas of the ids; NaN where there is nothing."""
    if path is None:
        return {name: np.full((len(ids), *shape), np.nan, np.float32) for name, shape in _ANNOTATED.items()}
    frame = load_records(path).set_index("id")
    absent = next((key for key in ids if key not in frame.index), None)
    if absent is not None:
        raise UserError(f"{path}: id: {absent!r} is missing; give the annotations of the same split")
    frame = frame.reindex(list(ids))
    known = {name: column_array(frame, name) for name in _ANNOTATED}
    # Shapes of a gendered body mean nothing to the neutral one.
    known["betas"][frame["gender"].isin(["female", "male"]).to_numpy()] = np.nan
    return known
