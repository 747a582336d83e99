"""Reading one training split: keypoints, packed crops and, where they exist, annotations in 3D."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from spinloop.annotations.crops import CropReader
from spinloop.annotations.merge import load_keypoints
from spinloop.annotations.record import column_array, load_records
from spinloop.errors import UserError
from spinloop.fitting.energy import FITTED_JOINTS
from spinloop.training.data import Split

_ANNOTATED = {"joints_3d": (24, 4), "pose": (72,), "betas": (10,)}


def load_split(keypoints: Path, crops: Path, annotations: Path | None, min_joints: int) -> tuple[str, Split]:
    """A split's name, as its ids begin, and its data.

    Left out are people without a packed crop (their image could not be read) and those of whom too few joints
    are seen.

    Args:
        keypoints: merged keypoints.
        crops: packed crops of the same split.
        annotations: its record table, for 3D joints and bodies; None leaves them out.
        min_joints: joints that must be seen, of those that a fit counts.

    Raises:
        UserError: a file is absent or damaged, the files are of different splits, or no person is left.
    """
    reader, frame = CropReader(crops), load_keypoints(keypoints)
    name = split_name(list(frame["id"]), keypoints)
    frame = pd.DataFrame(frame[frame["id"].isin(list(reader.index_of))])
    if frame.empty:
        raise UserError(f"{crops}: ids: none is in {keypoints}; give the crops of the same split")
    frame = pd.DataFrame(frame[n_fitted(np.stack(list(frame["keypoints"]))) >= min_joints])
    if frame.empty:
        raise UserError(f"{keypoints}: nobody has {min_joints} joints; lower train.min_joints")
    ids = [str(key) for key in frame["id"]]
    rows = [reader.index_of[key] for key in ids]
    split = Split(
        ids=ids,
        keypoints=np.stack(list(frame["keypoints"])),
        center=np.stack(list(frame["center"])),
        scale=np.asarray(frame["scale"], np.float64),
        packed=lambda row: reader.image(rows[row]),
        **_annotations(annotations, ids),
    )
    return name, split


def n_fitted(keypoints: Float[np.ndarray, "N 49 3"]) -> Int[np.ndarray, " N"]:
    """Joints with confidence, of those that a fit counts."""
    return (keypoints[:, list(FITTED_JOINTS), 2] > 0).sum(1)


def split_name(ids: Sequence[str], path: Path) -> str:
    """The split that all ids begin with.

    Raises:
        UserError: there is none, or more than one.
    """
    names = sorted({key.split("/", 1)[0] for key in ids})
    if not names:
        raise UserError(f"{path}: no rows; make the table again")
    if len(names) > 1:
        raise UserError(f"{path}: id: rows of {', '.join(names)}; give each split a file of its own")
    return names[0]


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
