"""Joints of a body: their definitions on Anny, the vertices that SMPL's users know by id, and regressors.

SMPL's 24 joints sit at Anny's bones. Those of other data sets are defined from bones, Anny's COCO keypoints
and the skin. A regressor is a row of non-negative weights that sum to one: joint = row · vertices.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy import sparse
from scipy.optimize import nnls

from spinloop.freebody.anny import AnnySource, RestBodies
from spinloop.freebody.surface import Skin
from spinloop.joints import EXTRA9, H36M17, SMPL24, VERTEX_JOINTS

# Anny's bone whose start is each of SMPL's joints (left side and midline).
JOINT_BONES = {
    "pelvis": "root", "left_hip": "upperleg01.L", "left_knee": "lowerleg01.L", "left_ankle": "foot.L",
    "left_foot": "toe3-1.L", "spine1": "spine04", "spine2": "spine03", "spine3": "spine02", "neck": "neck01",
    "head": "head", "left_collar": "clavicle.L", "left_shoulder": "upperarm01.L",
    "left_elbow": "lowerarm01.L", "left_wrist": "wrist.L", "left_hand": "finger3-1.L",
}  # fmt: skip

# The vertex that GraphCMR's regressor takes as the head top.
HEAD_TOP_ID = 411

_FINGERS = {"thumb": 1, "index": 2, "middle": 3, "ring": 4, "pinky": 5}

Points = dict[str, Float[ndarray, "N 3"]]


def skin_landmarks(source: AnnySource, skin: Skin, body: RestBodies) -> dict[int, int]:
    """The skin vertex of each id of `joints.VERTEX_JOINTS`, and of the head top.

    The nose is its tip; eyes, ears, toes and heels are the vertices nearest to Anny's COCO keypoints, finger
    tips those farthest along the finger. Vertices of the right side are the counterparts of the left ones.

    Args:
        source: Anny.
        skin: its closed skin.
        body: one body in the T-pose.

    Returns:
        SMPL's vertex id → index of a skin vertex.
    """
    points = skin.average @ body.vertices[0]
    vertices = {"nose": _nose(source, skin, points)}
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
            vertices[name] = int(skin.flip[vertices[name.replace("right", "left")]])
    by_id = {VERTEX_JOINTS[name]: vertex for name, vertex in vertices.items()}
    return {HEAD_TOP_ID: _head_top(skin, points)} | by_id


def _head_top(skin: Skin, points: Float[ndarray, "S 3"]) -> int:
    height = np.where(skin.flip == np.arange(len(points)), points[:, 1], -np.inf)
    return int(height.argmax())


def _nose(source: AnnySource, skin: Skin, points: Float[ndarray, "S 3"]) -> int:
    """The foremost vertex of the head on the midline."""
    on_head = source.weights[skin.anny_vertex, source.bone("head")] > 0.5
    on_head &= skin.flip == np.arange(len(points))
    return int(np.where(on_head, points[:, 2], -np.inf).argmax())


def _finger_tip(source: AnnySource, skin: Skin, points: Float[ndarray, "S 3"], finger: int) -> int:
    weights = source.weights[skin.anny_vertex]
    own = np.flatnonzero(weights.argmax(axis=1) == source.bone(f"finger{finger}-3.L"))
    # In the T-pose the left hand points along +x; the thumb also forward.
    along = np.array([1.0, 0.0, 1.0]) if finger == 1 else np.array([1.0, 0.0, 0.0])
    return int(own[(points[own] @ along).argmax()])


def joint_points(source: AnnySource, bodies: RestBodies) -> Points:
    """SMPL's 24 joints of T-posed bodies, metres: the starts of Anny's bones."""
    left = {name: bodies.heads[:, source.bone(bone)] for name, bone in JOINT_BONES.items()}
    return {name: _sided(name, left) for name in SMPL24}


def coco_points(source: AnnySource, bodies: RestBodies) -> Points:
    """Anny's COCO keypoints of T-posed bodies, metres."""
    rows = sparse.csr_array(np.stack(list(source.keypoints.values())))
    points = np.stack([rows @ vertices for vertices in bodies.vertices])
    return {name: points[:, index] for index, name in enumerate(source.keypoints)}


def h36m_points(joints: Points, coco: Points, head_top: Float[ndarray, "N 3"]) -> Points:
    """The 17 joints of Human3.6M as `joints.H36M17` names them, metres.

    Joints of the limbs are SMPL's. The hips are those of the COCO keypoints, as people annotate them (two
    centimetres below SMPL's and a little nearer the middle), the pelvis is halfway between them; the neck is
    the base of the neck (Human3.6M's thorax), the spine halfway from pelvis to neck; the jaw is halfway from
    nose to skull base (Human3.6M's "neck/nose"), the head halfway from the ears to the head top.

    Args:
        joints: SMPL's 24.
        coco: Anny's COCO keypoints.
        head_top: the vertex `HEAD_TOP_ID`.
    """
    hips = {name: coco[name] for name in ("left_hip", "right_hip")}
    pelvis = (hips["left_hip"] + hips["right_hip"]) / 2
    ears = (coco["left_ear"] + coco["right_ear"]) / 2
    middle = {
        "pelvis": pelvis,
        "spine": (pelvis + joints["neck"]) / 2,
        "neck": joints["neck"],
        "jaw": (coco["nose"] + joints["head"]) / 2,
        "head": (ears + head_top) / 2,
    }
    known = joints | hips | middle
    return {name: known[name] for name in H36M17}


def extra_points(joints: Points, h36m: Points, head_top: Float[ndarray, "N 3"]) -> Points:
    """The nine joints of `joints.EXTRA9`, metres.

    Pelvis, spine, jaw and head are those of Human3.6M; the hips are COCO's; LSP's neck is halfway up the
    neck, MPII's thorax halfway from the base of the neck to the middle of the collars.

    Args:
        joints: SMPL's 24.
        h36m: Human3.6M's 17.
        head_top: the vertex `HEAD_TOP_ID`.
    """
    collars = (joints["left_collar"] + joints["right_collar"]) / 2
    known = {
        "extra_right_hip": h36m["right_hip"],
        "extra_left_hip": h36m["left_hip"],
        "extra_neck_lsp": (joints["neck"] + joints["head"]) / 2,
        "extra_head_top_lsp": head_top,
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


# A joint is regressed from the nearest vertices in each of so many directions around it.
_DIRECTIONS = 96
# Weight of the sum-to-one equation, metres.
_SUM_WEIGHT = 100.0


class Neighborhood(NamedTuple):
    """Which vertices take part in a joint."""

    per_direction: int
    """Number of nearest vertices in each direction."""
    ridge: float
    """Penalty of the least squares, metres; larger values spread the weights more evenly."""


# For bodies in the T-pose, where vertices farther away may help.
AT_REST = Neighborhood(20, 0.003)
# For posed bodies: vertices close around the joint move as it does.
POSED = Neighborhood(2, 0.02)


def fit_row(
    vertices: Float[ndarray, "N V 3"],
    points: Float[ndarray, "N 3"],
    flip: Int[ndarray, " V"],
    neighborhood: Neighborhood,
) -> Float[ndarray, " V"]:
    """Regress one joint from the vertices around it by non-negative least squares.

    Args:
        vertices: bodies, metres.
        points: the joint in each body, metres.
        flip: the vertex on the other side; a joint on the midline gets a symmetric row.
        neighborhood: which vertices take part.

    Returns:
        Weights, zero away from the joint.
    """
    near = _surrounding(vertices.mean(axis=0) - points.mean(axis=0), neighborhood.per_direction)
    is_central = np.abs(points[:, 0]).max() < 1e-9
    if is_central:
        near = np.union1d(near, flip[near])
    relative = vertices[:, near] - points[:, None]
    system = np.concatenate(
        [
            np.swapaxes(relative, 1, 2).reshape(-1, len(near)) / np.sqrt(len(points)),
            neighborhood.ridge * np.eye(len(near)),
            np.full((1, len(near)), _SUM_WEIGHT),
        ]
    )
    target = np.zeros(len(system))
    target[-1] = _SUM_WEIGHT
    row = np.zeros(vertices.shape[1])
    row[near] = nnls(system, target)[0]
    if is_central:
        row = (row + row[flip]) / 2
    row[row < 1e-5] = 0.0
    return row / row.sum()


def _surrounding(offsets: Float[ndarray, "V 3"], per_direction: int) -> Int[ndarray, " K"]:
    """The nearest vertices in each direction around the origin, ascending."""
    distance = np.linalg.norm(offsets, axis=1)
    step = np.arange(_DIRECTIONS) + 0.5
    height, angle = 1 - 2 * step / _DIRECTIONS, np.pi * (1 + np.sqrt(5)) * step
    ring = np.sqrt(1 - height**2)
    directions = np.stack([ring * np.cos(angle), height, ring * np.sin(angle)], axis=1)
    sector = (offsets @ directions.T).argmax(axis=1)
    chosen = [
        members[np.argsort(distance[members], kind="stable")[:per_direction]]
        for members in (np.flatnonzero(sector == index) for index in range(_DIRECTIONS))
    ]
    return np.sort(np.concatenate(chosen))


def fit_rows(
    vertices: Float[ndarray, "N V 3"],
    points: dict[str, Float[ndarray, "N 3"]],
    flip: Int[ndarray, " V"],
    neighborhood: Neighborhood,
) -> Float[ndarray, "J V"]:
    """One row per joint, in the order of `points`; rows of right joints are those of left joints flipped."""
    rows: dict[str, Float[ndarray, " V"]] = {}
    for name in points:
        if "right_" not in name:
            rows[name] = fit_row(vertices, points[name], flip, neighborhood)
    for name in points:
        if "right_" in name:
            rows[name] = rows[name.replace("right_", "left_")][flip]
    return np.stack([rows[name] for name in points])
