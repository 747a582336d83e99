"""Points of the body that have a name: vertices on the skin and places inside.

The vertices are those whose ids SMPL's users hard-code. The places inside are the joints of other data sets'
skeletons, each defined from Anny's bones, its COCO keypoints and the skin.
"""

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy import sparse

from spinloop.body.free.source import RestBodies, Source
from spinloop.body.free.surface import Skin
from spinloop.joints import EXTRA9, H36M17, SMPL24, VERTEX_JOINTS

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
