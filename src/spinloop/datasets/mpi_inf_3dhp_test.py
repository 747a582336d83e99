"""MPI-INF-3DHP, test set → records.

Expected tree, as distributed: `mpi_inf_3dhp_test_set/TS1/annot_data.mat` (17 joints of every frame: `annot2`
px, `univ_annot3` mm in camera axes at the size of the universal skeleton, `annot3` at the person's own,
`valid_frame`, `activity_annotation`) and `TS1/imageSequence/img_000001.jpg`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from spinloop.datasets.matlab import Hdf5Mat
from spinloop.joints import JointSet
from spinloop.params.datasets import MpiInf3dhpTestSource
from spinloop.tables.images import read_size_or_none
from spinloop.tables.records import (
    ReadCounts,
    Record,
    bounding_square,
    common_joints,
    finite_rows,
    make_id,
    root_relative_joints,
)

FOLDER = "mpi_inf_3dhp_test_set"
# The test set's 17 joints by the names of the 24, in its own order.
MPI17: JointSet = (
    "head_h36m", "neck_lsp", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow",
    "left_wrist", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
    "pelvis_mpii", "spine_h36m", "jaw_h36m",
)  # fmt: skip
# `activity_annotation` counts from 1.
ACTIVITIES = (
    "Standing/Walking", "Exercising", "Sitting", "Reaching/Crouching", "On The Floor", "Sports",
    "Miscellaneous",
)  # fmt: skip
_EVERY_JOINT = np.ones(len(MPI17), dtype=bool)
_FIX = "download MPI-INF-3DHP's test set there, or correct sources.<split>"


class _Sequence(NamedTuple):
    name: str
    pixels: Float[np.ndarray, "F 17 2"]
    joints: Float[np.ndarray, "F 17 3"]
    """mm, camera axes."""
    is_valid: Bool[np.ndarray, " F"]
    is_finite: Bool[np.ndarray, " F"]
    activities: list[str | None]


def read_mpi_inf_3dhp_test(
    raw: Path, split: str, source: MpiInf3dhpTestSource, is_official: bool, counts: ReadCounts
) -> Iterator[Record]:
    """Records by sequence and frame.

    Args:
        raw: the dataset's folder.
        split: the split's key, first part of the ids.
        source: sequences, size of the skeleton.
        is_official: changes nothing.
        counts: what is left out: `not_valid` (the dataset says so), `not_finite`, `unreadable_image`,
            `joint_outside`, `empty_box`.

    Raises:
        UserError: a file is absent, damaged or not the dataset's, or an image is absent.
    """
    for name in source.sequences:
        sequence = _load(raw / FOLDER / name / "annot_data.mat", name, source.skeleton)
        for index in range(len(sequence.pixels)):
            image = f"{FOLDER}/{name}/imageSequence/img_{index + 1:06d}.jpg"
            found = _record(raw, make_id(split, image, 0), image, sequence, index, source.box_factor)
            if isinstance(found, str):
                counts.leave_out(found, make_id(split, image, 0))
                continue
            counts.keep()
            yield found


def _record(
    raw: Path, name: str, image: str, sequence: _Sequence, index: int, box_factor: float
) -> Record | str:
    """The record of one frame, or the reason to leave it out."""
    if not sequence.is_valid[index]:
        return "not_valid"
    if not sequence.is_finite[index]:
        return "not_finite"
    size = read_size_or_none(raw / image)
    if size is None:
        return "unreadable_image"
    pixels = sequence.pixels[index]
    if not ((pixels >= 0) & (pixels < size[::-1])).all():
        return "joint_outside"
    box = bounding_square(pixels, box_factor)
    if box is None:
        return "empty_box"
    return Record(
        name, image, *size, box.center, box.scale,
        keypoints=common_joints(pixels, _EVERY_JOINT, MPI17),
        joints_3d=root_relative_joints(sequence.joints[index] / 1000, MPI17, "pelvis_mpii"),
        sequence=sequence.name, activity=sequence.activities[index], frame=index, person=0,
    )  # fmt: skip


def _load(path: Path, name: str, skeleton: str) -> _Sequence:
    with Hdf5Mat(path, _FIX) as file:
        pixels = file.numbers("annot2", (None, 1, len(MPI17), 2))[:, 0]
        n_frames = len(pixels)
        key = "univ_annot3" if skeleton == "universal" else "annot3"
        joints = file.numbers(key, (n_frames, 1, len(MPI17), 3))[:, 0]
        is_valid = file.numbers("valid_frame", (n_frames, 1))[:, 0] == 1
        activities: list[str | None] = [None] * n_frames
        # It serves the table by activity only, so a copy without it, or with other numbers, is read too.
        if "activity_annotation" in file:
            numbers = file.numbers("activity_annotation", (n_frames, 1))[:, 0]
            known = {float(number): name for number, name in enumerate(ACTIVITIES, 1)}
            activities = [known.get(float(number)) for number in numbers]
    return _Sequence(name, pixels, joints, is_valid, finite_rows(pixels, joints), activities)
