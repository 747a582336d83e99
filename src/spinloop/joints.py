"""Joint names, the sets they form, and the maps between sets.

Every array of joints in the package has a named set; code selects by name, never by a bare number. Left and
right are the person's own.

Source: SPIN's `constants.py` as laid down in the project's reference notes (49 joints = OpenPose BODY_25
followed by the 24 annotated joints); smplx for the vertex joints.
"""

from collections.abc import Sequence

JointSet = tuple[str, ...]

SMPL24: JointSet = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle",
    "right_ankle", "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head",
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
    "left_hand", "right_hand",
)  # fmt: skip

SMPL_PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)

# The vertices that smplx reads as joints 24–44, and the ids that every user of SMPL hard-codes.
VERTEX_JOINTS: dict[str, int] = {
    "nose": 332, "right_eye": 6260, "left_eye": 2800, "right_ear": 4071, "left_ear": 583,
    "left_big_toe": 3216, "left_small_toe": 3226, "left_heel": 3387,
    "right_big_toe": 6617, "right_small_toe": 6624, "right_heel": 6787,
    "left_thumb": 2746, "left_index": 2319, "left_middle": 2445, "left_ring": 2556, "left_pinky": 2673,
    "right_thumb": 6191, "right_index": 5782, "right_middle": 5905, "right_ring": 6016,
    "right_pinky": 6133,
}  # fmt: skip

# Rows of J_regressor_extra.npy: joints that SMPL's own tree lacks or places elsewhere.
EXTRA9: JointSet = (
    "extra_right_hip", "extra_left_hip", "extra_neck_lsp", "extra_head_top_lsp", "extra_pelvis_mpii",
    "extra_thorax_mpii", "extra_spine_h36m", "extra_jaw_h36m", "extra_head_h36m",
)  # fmt: skip

# Rows of J_regressor_h36m.npy. The left leg comes first; other public files put the right leg first.
H36M17: JointSet = (
    "pelvis", "left_hip", "left_knee", "left_ankle", "right_hip", "right_knee", "right_ankle", "spine",
    "neck", "jaw", "head", "left_shoulder", "left_elbow", "left_wrist", "right_shoulder", "right_elbow",
    "right_wrist",
)  # fmt: skip

OPENPOSE25: JointSet = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow",
    "left_wrist", "mid_hip", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee",
    "left_ankle", "right_eye", "left_eye", "right_ear", "left_ear", "left_big_toe", "left_small_toe",
    "left_heel", "right_big_toe", "right_small_toe", "right_heel",
)  # fmt: skip

COMMON24: JointSet = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "right_wrist",
    "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist", "neck_lsp",
    "head_top_lsp", "pelvis_mpii", "thorax_mpii", "spine_h36m", "jaw_h36m", "head_h36m", "nose",
    "left_eye", "right_eye", "left_ear", "right_ear",
)  # fmt: skip

MODEL49: JointSet = tuple(f"op_{name}" for name in OPENPOSE25) + COMMON24

COCO17: JointSet = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder",
    "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee",
    "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip

# COCO18 as OpenPose's older model writes it and 3DPW's `poses2d` stores it.
OPENPOSE18: JointSet = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow",
    "left_wrist", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
    "right_eye", "left_eye", "right_ear", "left_ear",
)  # fmt: skip

# The 54 joints that the 49 are gathered from: SMPL's 24, 21 vertices, nine regressed.
SOURCE54: JointSet = SMPL24 + tuple(VERTEX_JOINTS) + EXTRA9

_OPENPOSE_SOURCE = {"op_mid_hip": "pelvis", "op_neck": "neck"}
_COMMON_SOURCE = {
    "right_hip": "extra_right_hip",
    "left_hip": "extra_left_hip",
    "neck_lsp": "extra_neck_lsp",
    "head_top_lsp": "extra_head_top_lsp",
    "pelvis_mpii": "extra_pelvis_mpii",
    "thorax_mpii": "extra_thorax_mpii",
    "spine_h36m": "extra_spine_h36m",
    "jaw_h36m": "extra_jaw_h36m",
    "head_h36m": "extra_head_h36m",
}


def index_map(source: Sequence[str], target: Sequence[str]) -> tuple[int, ...]:
    """Positions in `source` of each name of `target`, in the target's order.

    Raises:
        ValueError: a name of `target` is not in `source`.
    """
    return tuple(list(source).index(name) for name in target)


def flip_permutation(joints: Sequence[str]) -> tuple[int, ...]:
    """For each joint, the position of the same joint on the body's other side (itself if on the midline)."""
    return index_map(joints, [_other_side(name) for name in joints])


def _other_side(name: str) -> str:
    swapped = name.replace("left", "\0").replace("right", "left")
    return swapped.replace("\0", "right")


def _source_of(name: str) -> str:
    if name.startswith("op_"):
        return _OPENPOSE_SOURCE.get(name, name.removeprefix("op_"))
    return _COMMON_SOURCE.get(name, name)


MODEL49_FROM_SOURCE54 = index_map(SOURCE54, [_source_of(name) for name in MODEL49])

SMPL24_FLIP = flip_permutation(SMPL24)
COMMON24_FLIP = flip_permutation(COMMON24)
MODEL49_FLIP = flip_permutation(MODEL49)

# The 14 joints of the 3DPW and Human3.6M protocols; 17 of MPI-INF-3DHP add pelvis, spine and jaw. The head is
# Human3.6M's head, not LSP's top of the head.
PROTOCOL17: JointSet = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "right_wrist",
    "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist", "neck", "head",
    "pelvis", "spine", "jaw",
)  # fmt: skip
PROTOCOL14: JointSet = PROTOCOL17[:14]

MODEL49_TO_COCO17 = tuple(len(OPENPOSE25) + joint for joint in index_map(COMMON24, COCO17))

H36M_TO_J17 = index_map(H36M17, PROTOCOL17)
H36M_TO_J14 = H36M_TO_J17[:14]
_COMMON_NAME = {
    "neck": "neck_lsp",
    "head": "head_h36m",
    "pelvis": "pelvis_mpii",
    "spine": "spine_h36m",
    "jaw": "jaw_h36m",
}
COMMON24_TO_J17 = index_map(COMMON24, [_COMMON_NAME.get(name, name) for name in PROTOCOL17])
COMMON24_TO_J14 = COMMON24_TO_J17[:14]

# LSP's 14 annotated joints are the first fourteen of the 24.
LSP14: JointSet = COMMON24[:14]

# The twelve limb joints that both OpenPose and every annotation have, for matching people.
LIMB12: JointSet = COMMON24[:12]

# SMPL's hips and neck sit elsewhere than people annotate them, so the fit leaves these joints out.
FIT_IGNORED = index_map(MODEL49, ["op_neck", "op_right_hip", "op_left_hip", "right_hip", "left_hip"])
CAMERA_JOINTS_OPENPOSE = index_map(
    MODEL49, ["op_right_hip", "op_left_hip", "op_right_shoulder", "op_left_shoulder"]
)
CAMERA_JOINTS_ANNOTATED = index_map(MODEL49, ["right_hip", "left_hip", "right_shoulder", "left_shoulder"])
N_OPENPOSE = len(OPENPOSE25)
