"""What the readers of plain joint arrays share: a person given by named joints in one image."""

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from spinloop.joints import COMMON24, LIMB12, JointSet, index_map
from spinloop.tables.images import UnreadableImage, read_size
from spinloop.tables.records import N_COMMON, Box, Record, bounding_square, make_id


def common_joints(
    joints: Float[np.ndarray, "J 2"], is_annotated: Bool[np.ndarray, " J"], names: JointSet
) -> Float[np.ndarray, "24 3"]:
    """`joints.COMMON24` (px, confidence 0 or 1) of joints that have those names."""
    common = np.zeros((N_COMMON, 3))
    places = list(index_map(COMMON24, names))
    common[places, :2] = np.where(is_annotated[:, None], joints, 0.0)
    common[places, 2] = is_annotated
    return common


def rooted_joints(joints: Float[np.ndarray, "J 3"], names: JointSet, root: str) -> Float[np.ndarray, "24 4"]:
    """`joints.COMMON24` (m, confidence 0 or 1) of joints that have those names, relative to one of them.

    Args:
        joints: metres, camera axes.
        names: what they are, names of `joints.COMMON24`.
        root: the name of the one that becomes the origin.
    """
    common = np.zeros((N_COMMON, 4))
    common[list(index_map(COMMON24, names))] = np.pad(
        joints - joints[names.index(root)], ((0, 0), (0, 1)), constant_values=1.0
    )
    return common


def make_record(
    raw: Path,
    split: str,
    image: str,
    person: int,
    keypoints: Float[np.ndarray, "24 3"],
    box: Box | None,
    box_factor: float,
    min_limb_joints: int,
    keeps_outside: bool,
) -> Record | str:
    """The record of a person, or the reason to leave it out.

    Args:
        raw: the dataset's folder.
        split: the split's key.
        image: path of the image below `raw`.
        person: the source's number.
        keypoints: `joints.COMMON24`.
        box: the source's own box; None boxes the joints.
        box_factor: side of that box / longer extent of the joints.
        min_limb_joints: joints of arms and legs that a person needs.
        keeps_outside: joints outside the image are kept, as the published preprocessing does; otherwise
            they are taken as not annotated.

    Raises:
        UserError: the image is absent.
    """
    try:
        height, width = read_size(raw / image)
    except UnreadableImage:
        return "unreadable_image"
    x, y = keypoints[:, 0], keypoints[:, 1]
    is_inside = (x >= 0) & (x <= width) & (y >= 0) & (y <= height)
    if not keeps_outside:
        keypoints = np.where(is_inside[:, None], keypoints, 0.0)
    seen = keypoints[:, 2] > 0
    if not seen.any():
        return "no_visible_joint"
    if seen[: len(LIMB12)].sum() < min_limb_joints:
        return "too_few_limb_joints"
    box = box or bounding_square(keypoints[seen, :2], box_factor)
    if box is None:
        return "empty_box"
    name = make_id(split, image, person)
    return Record(name, image, height, width, box.center, box.scale, keypoints=keypoints, person=person)
