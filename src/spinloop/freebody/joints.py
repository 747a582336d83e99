"""Anny's bones merged into SMPL's 24 joints: skinning weights and the six parts.

Points of the body that have a name: vertices on the skin and places inside.

The vertices are those whose ids SMPL's users hard-code. The places inside are the joints of other data sets'
skeletons, each defined from Anny's bones, its COCO keypoints and the skin.

Joint regressors: rows of non-negative weights that sum to one, so that joint = row · vertices.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, UInt8
from numpy import ndarray
from scipy import sparse
from scipy.optimize import nnls

from spinloop.freebody.anny import RestBodies, Source
from spinloop.freebody.surface import Skin
from spinloop.joints import EXTRA9, H36M17, SMPL24, SMPL24_FLIP, VERTEX_JOINTS

# What each of Anny's bones becomes, by the beginning of its name; the longest match counts.
_JOINT_OF_BONE = {
    "root": "pelvis", "pelvis": "pelvis", "spine05": "pelvis", "spine04": "spine1", "spine03": "spine2",
    "spine02": "spine3", "spine01": "spine3", "neck": "neck", "head": "head", "eye": "head",
    "upperleg": "hip", "lowerleg": "knee", "foot": "ankle", "toe": "foot",
    "clavicle": "collar", "shoulder": "collar", "upperarm": "shoulder", "lowerarm": "elbow",
    "wrist": "wrist", "metacarpal": "wrist", "finger1": "wrist", "finger": "hand",
}  # fmt: skip

# The labels of LSP's part masks: 1 left arm, 2 right arm, 3 head and neck, 4 left leg, 5 right leg, 6 torso.
_PART_OF_JOINT = {
    "shoulder": (1, 2), "elbow": (1, 2), "wrist": (1, 2), "hand": (1, 2), "neck": (3, 3), "head": (3, 3),
    "hip": (4, 5), "knee": (4, 5), "ankle": (4, 5), "foot": (4, 5), "collar": (6, 6), "pelvis": (6, 6),
    "spine1": (6, 6), "spine2": (6, 6), "spine3": (6, 6),
}  # fmt: skip

_MAX_WEIGHTS = 4


def joint_of_bone(bone: str) -> str:
    """SMPL's joint that moves what Anny's `bone` moves."""
    stem, _, side = bone.partition(".")
    match = max((key for key in _JOINT_OF_BONE if stem.startswith(key)), key=len)
    name = _JOINT_OF_BONE[match]
    return f"{ {'L': 'left', 'R': 'right'}[side] }_{name}" if f"left_{name}" in SMPL24 else name


def merge_weights(
    weights: Float[ndarray, "V B"], bones: tuple[str, ...], mirror: Int[ndarray, " V"]
) -> Float[ndarray, "V 24"]:
    """Sum Anny's weights into SMPL's joints and keep the four largest of each vertex.

    Args:
        weights: rows sum to one.
        bones: Anny's names of the columns.
        mirror: the vertex on the other side; the result is exactly symmetric.

    Returns:
        Rows sum to one. Where the fourth largest weight ties with the fifth, both are left out.
    """
    merged = np.zeros((len(weights), len(SMPL24)))
    for column, bone in enumerate(bones):
        merged[:, SMPL24.index(joint_of_bone(bone))] += weights[:, column]
    merged = (merged + merged[mirror][:, SMPL24_FLIP]) / 2
    largest_dropped = np.sort(merged, axis=1)[:, -_MAX_WEIGHTS - 1, None]
    merged[merged <= largest_dropped] = 0.0
    return merged / merged.sum(axis=1, keepdims=True)


def part_labels(weights: Float[ndarray, "V 24"], faces: Int[ndarray, "F 3"]) -> UInt8[ndarray, " F"]:
    """The part, 1 to 6, that moves most of each face."""
    shares = np.zeros((len(weights), 7))
    for column, joint in enumerate(SMPL24):
        side, _, name = joint.rpartition("_")
        shares[:, _PART_OF_JOINT[name][side == "right"]] += weights[:, column]
    return shares[faces].sum(axis=1).argmax(axis=1).astype(np.uint8)


# Anny's bone at which each of SMPL's joints sits (left side and midline).
JOINT_BONES = {
    "pelvis": "root", "left_hip": "upperleg01.L", "left_knee": "lowerleg01.L", "left_ankle": "foot.L",
    "left_foot": "toe3-1.L", "spine1": "spine04", "spine2": "spine03", "spine3": "spine02", "neck": "neck01",
    "head": "head", "left_collar": "clavicle.L", "left_shoulder": "upperarm01.L",
    "left_elbow": "lowerarm01.L", "left_wrist": "wrist.L", "left_hand": "finger3-1.L",
}  # fmt: skip

# The vertex that GraphCMR's regressor takes as the top of the head.
CROWN_ID = 411
CROWN = "crown"

_FINGERS = {"thumb": 1, "index": 2, "middle": 3, "ring": 4, "pinky": 5}

Points = dict[str, Float[ndarray, "N 3"]]


def skin_landmarks(source: Source, skin: Skin, body: RestBodies) -> dict[int, int]:
    """The skin vertex for each id of `joints.VERTEX_JOINTS`, and for the crown.

    The nose is its tip; eyes, ears, toes and heels are the skin nearest to Anny's COCO keypoints, finger tips
    the skin farthest along the last bone of the finger.

    Args:
        source: Anny.
        skin: its closed skin.
        body: one typical body in the T-pose.

    Returns:
        From SMPL's vertex id to the index of a skin vertex; right ones are the mirror images of left ones.
    """
    points = skin.average @ body.vertices[0]
    vertices = {CROWN: _crown(skin, points), "nose": _nose(source, skin, points)}
    for name in VERTEX_JOINTS:
        if not name.startswith("left_"):
            continue
        part = name.removeprefix("left_")
        if part in _FINGERS:
            vertices[name] = _finger_tip(source, skin, points, _FINGERS[part])
        else:
            target = source.keypoints[name] @ body.vertices[0]
            vertices[name] = int(np.linalg.norm(points - target, axis=1).argmin())
    for name in VERTEX_JOINTS:
        if name.startswith("right_"):
            vertices[name] = int(skin.mirror[vertices[name.replace("right", "left")]])
    return {VERTEX_JOINTS.get(name, CROWN_ID): vertex for name, vertex in vertices.items()}


def _crown(skin: Skin, points: Float[ndarray, "S 3"]) -> int:
    height = np.where(skin.mirror == np.arange(len(points)), points[:, 1], -np.inf)
    return int(height.argmax())


def _nose(source: Source, skin: Skin, points: Float[ndarray, "S 3"]) -> int:
    """The farthest point forward on the head's midline."""
    on_head = source.weights[skin.anny_vertex, source.bone("head")] > 0.5
    on_head &= skin.mirror == np.arange(len(points))
    return int(np.where(on_head, points[:, 2], -np.inf).argmax())


def _finger_tip(source: Source, skin: Skin, points: Float[ndarray, "S 3"], finger: int) -> int:
    weights = source.weights[skin.anny_vertex]
    own = np.flatnonzero(weights.argmax(axis=1) == source.bone(f"finger{finger}-3.L"))
    # In the T-pose the left hand points along +x; the thumb also forward.
    along = np.array([1.0, 0.0, 1.0]) if finger == 1 else np.array([1.0, 0.0, 0.0])
    return int(own[(points[own] @ along).argmax()])


def joint_points(source: Source, bodies: RestBodies) -> Points:
    """SMPL's 24 joints of T-posed bodies: the heads of Anny's bones, metres."""
    left = {name: bodies.heads[:, source.bone(bone)] for name, bone in JOINT_BONES.items()}
    return {name: _sided(name, left) for name in SMPL24}


def coco_points(source: Source, bodies: RestBodies) -> Points:
    """Anny's COCO keypoints of T-posed bodies, metres."""
    rows = sparse.csr_array(np.stack(list(source.keypoints.values())))
    points = np.stack([rows @ vertices for vertices in bodies.vertices])
    return {name: points[:, index] for index, name in enumerate(source.keypoints)}


def h36m_points(joints: Points, coco: Points, crown: Float[ndarray, "N 3"]) -> Points:
    """The 17 joints of Human3.6M as `joints.H36M17` names them, metres.

    Limbs bend where the bones do. The hips are those of the COCO keypoints, as people annotate them (two
    centimetres below SMPL's and a little nearer the middle), the pelvis lies halfway between them; the neck
    is the base of the neck (Human3.6M's thorax), the spine lies halfway from pelvis to neck; the jaw lies
    between nose and skull base (its "neck/nose"), the head halfway from the ears to the crown.

    Args:
        joints: SMPL's 24.
        coco: Anny's COCO keypoints.
        crown: the top of the head.
    """
    hips = {name: coco[name] for name in ("left_hip", "right_hip")}
    pelvis = (hips["left_hip"] + hips["right_hip"]) / 2
    ears = (coco["left_ear"] + coco["right_ear"]) / 2
    middle = {
        "pelvis": pelvis,
        "spine": (pelvis + joints["neck"]) / 2,
        "neck": joints["neck"],
        "jaw": (coco["nose"] + joints["head"]) / 2,
        "head": (ears + crown) / 2,
    }
    known = joints | hips | middle
    return {name: known[name] for name in H36M17}


def extra_points(joints: Points, h36m: Points, crown: Float[ndarray, "N 3"]) -> Points:
    """The nine joints of `joints.EXTRA9`, metres.

    Pelvis, spine, jaw and head are those of Human3.6M; the hips are COCO's; LSP's neck is halfway up the
    neck, LSP's top of the head is the crown, MPII's thorax lies between the base of the neck and the collar
    bones.

    Args:
        joints: SMPL's 24.
        h36m: Human3.6M's 17.
        crown: the top of the head.
    """
    collars = (joints["left_collar"] + joints["right_collar"]) / 2
    known = {
        "extra_right_hip": h36m["right_hip"],
        "extra_left_hip": h36m["left_hip"],
        "extra_neck_lsp": (joints["neck"] + joints["head"]) / 2,
        "extra_head_top_lsp": crown,
        "extra_pelvis_mpii": h36m["pelvis"],
        "extra_thorax_mpii": (joints["neck"] + collars) / 2,
        "extra_spine_h36m": h36m["spine"],
        "extra_jaw_h36m": h36m["jaw"],
        "extra_head_h36m": h36m["head"],
    }
    return {name: known[name] for name in EXTRA9}


def _sided(name: str, left: Points) -> Float[ndarray, "N 3"]:
    if name.startswith("right_"):
        return left[name.replace("right", "left")] * [-1.0, 1.0, 1.0]
    return left[name]


# A joint is regressed from the nearest vertices in each of so many directions around it, so that they
# surround it.
_DIRECTIONS = 96
# Weight of the sum-to-one equation, metres.
_SUM_WEIGHT = 100.0


class Reach(NamedTuple):
    """Which vertices take part in a joint."""

    per_direction: int
    """The nearest so many in each direction around it."""
    spread: float
    """How much the weights are spread over them, metres: the ridge of the least squares."""


# For bodies at rest, where vertices farther away may help.
AT_REST = Reach(20, 0.003)
# For posed bodies: a broad ring close about the joint moves as the joint does.
POSED = Reach(2, 0.02)


def fit_row(
    vertices: Float[ndarray, "N V 3"], points: Float[ndarray, "N 3"], mirror: Int[ndarray, " V"], reach: Reach
) -> Float[ndarray, " V"]:
    """Regress one joint from the vertices around it by non-negative least squares.

    Args:
        vertices: bodies, metres.
        points: the joint in each body, metres.
        mirror: the vertex on the other side; a joint on the midline gets a symmetric row.
        reach: which vertices take part.

    Returns:
        Weights, zero away from the joint.
    """
    near = _surrounding(vertices.mean(axis=0) - points.mean(axis=0), reach.per_direction)
    is_central = np.abs(points[:, 0]).max() < 1e-9
    if is_central:
        near = np.union1d(near, mirror[near])
    relative = vertices[:, near] - points[:, None]
    system = np.concatenate(
        [
            np.swapaxes(relative, 1, 2).reshape(-1, len(near)) / np.sqrt(len(points)),
            reach.spread * np.eye(len(near)),
            np.full((1, len(near)), _SUM_WEIGHT),
        ]
    )
    target = np.zeros(len(system))
    target[-1] = _SUM_WEIGHT
    row = np.zeros(vertices.shape[1])
    row[near] = nnls(system, target)[0]
    if is_central:
        row = (row + row[mirror]) / 2
    row[row < 1e-5] = 0.0
    return row / row.sum()


def _surrounding(offsets: Float[ndarray, "V 3"], per_direction: int) -> Int[ndarray, " K"]:
    """The nearest vertices in each direction around the origin, ascending."""
    distance = np.linalg.norm(offsets, axis=1)
    step = np.arange(_DIRECTIONS) + 0.5
    height, turn = 1 - 2 * step / _DIRECTIONS, np.pi * (1 + np.sqrt(5)) * step
    ring = np.sqrt(1 - height**2)
    directions = np.stack([ring * np.cos(turn), height, ring * np.sin(turn)], axis=1)
    sector = (offsets @ directions.T).argmax(axis=1)
    chosen = [
        members[np.argsort(distance[members], kind="stable")[:per_direction]]
        for members in (np.flatnonzero(sector == index) for index in range(_DIRECTIONS))
    ]
    return np.sort(np.concatenate(chosen))


def fit_rows(
    vertices: Float[ndarray, "N V 3"],
    points: dict[str, Float[ndarray, "N 3"]],
    mirror: Int[ndarray, " V"],
    reach: Reach,
) -> Float[ndarray, "J V"]:
    """One row per joint, in the order of `points`; a right joint's row mirrors the left one's."""
    rows: dict[str, Float[ndarray, " V"]] = {}
    for name in points:
        if "right_" not in name:
            rows[name] = fit_row(vertices, points[name], mirror, reach)
    for name in points:
        if "right_" in name:
            rows[name] = rows[name.replace("right_", "left_")][mirror]
    return np.stack([rows[name] for name in points])
