"""Skeletons of many programs in known poses: the same SMPL angles come back, whatever the skeleton."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from spinloop.errors import UserError
from spinloop.joints import SMPL24, SMPL_PARENTS
from spinloop.motion.clips import Recording, world_rotations
from spinloop.motion.recordings import read_bvh
from spinloop.motion.retarget import to_clip
from spinloop.motion.skeleton import load_bone_names

# A T-pose with straight legs, cm: SMPL joint → (parent, offset). Left is +x, up +y, ahead +z.
_SIDE = {
    "hip": ("pelvis", (9, -6, 0)), "knee": ("hip", (0, -42, 0)), "ankle": ("knee", (0, -41, 0)),
    "foot": ("ankle", (0, -6, 13)), "collar": ("chest", (5, 12, 0)), "shoulder": ("collar", (13, 0, 0)),
    "elbow": ("shoulder", (27, 0, 0)), "wrist": ("elbow", (25, 0, 0)),
}  # fmt: skip
# Names of (pelvis, spine bones, neck, head, {joint: bone with {s}}, left, right).
_MIXAMO = {
    "hip": "{s}UpLeg", "knee": "{s}Leg", "ankle": "{s}Foot", "foot": "{s}ToeBase", "collar": "{s}Shoulder",
    "shoulder": "{s}Arm", "elbow": "{s}ForeArm", "wrist": "{s}Hand",
}  # fmt: skip
_SMPL = {part: "{s}_" + part.capitalize() for part in _SIDE}
_CMU = {
    "hip": "{s}femur", "knee": "{s}tibia", "ankle": "{s}foot", "foot": "{s}toes", "collar": "{s}clavicle",
    "shoulder": "{s}humerus", "elbow": "{s}radius", "wrist": "{s}wrist",
}  # fmt: skip
_UNREAL = {
    "hip": "thigh_{s}", "knee": "calf_{s}", "ankle": "foot_{s}", "foot": "ball_{s}", "collar": "clavicle_{s}",
    "shoulder": "upperarm_{s}", "elbow": "lowerarm_{s}", "wrist": "hand_{s}",
}  # fmt: skip
_ROKOKO = _MIXAMO | {"hip": "{s}Thigh", "knee": "{s}Shin", "foot": "{s}Toe"}
NAMINGS = {
    "mixamo": ("mixamorig:", "Hips", _MIXAMO, "Left", "Right"),
    "motion_builder": ("", "Hips", _MIXAMO, "Left", "Right"),
    "lafan1": ("", "Hips", _MIXAMO | {"foot": "{s}Toe"}, "Left", "Right"),
    "rokoko": ("", "Hips", _ROKOKO, "Left", "Right"),
    "smpl": ("m_avg_", "Pelvis", _SMPL, "L", "R"),
    "smpl_lower": ("", "pelvis", {part: "{s}_" + part for part in _SIDE}, "left", "right"),
    "cmu": ("", "root", _CMU, "l", "r"),
    "unreal": ("", "pelvis", _UNREAL, "l", "r"),
    "biped": ("Bip01 ", "Pelvis", {part: "{s} " + name[:-4] for part, name in _UNREAL.items()}, "L", "R"),
}


def _skeleton(naming="mixamo", n_spine=3):
    """Names by key, parents by key, offsets by key, in the order of a tree."""
    prefix, pelvis, parts, left, right = NAMINGS[naming]
    names, parents, offsets = {"pelvis": pelvis}, {"pelvis": None}, {"pelvis": (0.0, 95.0, 0.0)}
    above = "pelvis"
    for number in range(n_spine):
        key = f"bone{number}"
        names[key], parents[key], offsets[key] = f"Spine{number or ''}", above, (0.0, 40.0 / n_spine, 0.0)
        above = key
    for key, parent, offset in (("neck", above, (0, 18, 0)), ("head", "neck", (0, 9, 0))):
        names[key], parents[key], offsets[key] = key.capitalize(), parent, offset
    for side, word, sign in (("left", left, 1), ("right", right, -1)):
        for part, (parent, offset) in _SIDE.items():
            key = f"{side}_{part}"
            names[key] = parts[part].format(s=word)
            parents[key] = {"chest": above, "pelvis": "pelvis"}.get(parent, f"{side}_{parent}")
            offsets[key] = (sign * offset[0], *offset[1:])
    return {key: prefix + name for key, name in names.items()}, parents, offsets


def _zero_turns(kind, parents, offsets):
    """Rotation of each bone of the file's zero pose to the T-pose."""
    turns = {}
    for key in parents:
        child = next((offsets[other] for other, parent in parents.items() if parent == key), None)
        turns[key] = np.eye(3)
        if kind == "along_x" and key != "pelvis":
            turns[key] = Rotation.align_vectors([child or (0, 1, 0)], [(1, 0, 0)])[0].as_matrix()
        elif kind == "hanging" and key.endswith(("shoulder", "elbow", "wrist")):
            turns[key] = Rotation.from_euler(
                "z", 90 if key.startswith("left") else -90, degrees=True
            ).as_matrix()
        elif kind == "z_up":
            turns[key] = Rotation.from_euler("x", -90, degrees=True).as_matrix()
    return turns


def _recording(worlds, naming="mixamo", n_spine=3, zero="t_pose", first=None):
    """A recording in which each bone has the given world rotations (F, 3, 3) relative to the T-pose."""
    names, parents, offsets = _skeleton(naming, n_spine)
    turns = _zero_turns(zero, parents, offsets)
    keys = list(parents)
    n = len(worlds["pelvis"])
    start = np.tile(np.eye(3), (int(first == "t_pose"), 1, 1))
    world = {
        key: np.concatenate([start, worlds.get(key, np.tile(np.eye(3), (n, 1, 1)))]) @ turns[key]
        for key in keys
    }
    rest, rotations = np.zeros((len(keys), 3)), []
    for row, key in enumerate(keys):
        above = parents[key]
        if above is None:
            rest[row] = offsets[key]
            rotations.append(world[key])
        else:
            rest[row] = rest[keys.index(above)] + turns[above].T @ offsets[key]
            rotations.append(world[above].transpose(0, 2, 1) @ world[key])
    tips = np.array(
        [
            next(
                (rest[keys.index(k)] for k in keys if parents[k] == key),
                rest[row] + turns[key].T @ (0.0, 4.0, 0.0),
            )
            for row, key in enumerate(keys)
        ]
    )
    indices = tuple(-1 if parents[key] is None else keys.index(parents[key]) for key in keys)
    return Recording(tuple(names.values()), indices, rest, tips, np.stack(rotations, axis=1), 30.0)


def _poses(n=6, spine=True):
    """Random SMPL angles of joints that every recording has."""
    rng = np.random.default_rng(4)
    poses = np.zeros((n, 24, 3))
    for joint, name in enumerate(SMPL24):
        if not name.endswith("hand") and (spine or not name.startswith("spine")):
            poses[:, joint] = rng.normal(0, 0.35, (n, 3))
    return poses


def _worlds(poses, n_spine=3):
    turns = Rotation.from_rotvec(poses.reshape(-1, 3)).as_matrix().reshape(-1, 24, 3, 3)
    world = world_rotations(turns, SMPL_PARENTS)
    found = {name: world[:, joint] for joint, name in enumerate(SMPL24)}
    return found | {f"bone{number}": found[f"spine{number + 1}"] for number in range(min(n_spine, 3))}


def _about(axis, degrees):
    return Rotation.from_euler(axis, degrees, degrees=True).as_matrix().reshape(1, 3, 3)


@pytest.mark.parametrize("zero", ["t_pose", "along_x", "hanging", "z_up"])
@pytest.mark.parametrize("naming", NAMINGS)
def test_the_same_angles_come_back_from_every_skeleton(naming, zero):
    poses = _poses()
    clip = to_clip(_recording(_worlds(poses), naming, zero=zero, first="t_pose"), "a", "a.bvh")
    assert len(clip.poses) == len(poses), "the T-pose is dropped"
    ours = Rotation.from_rotvec(clip.poses.reshape(-1, 3)).inv() * Rotation.from_rotvec(poses.reshape(-1, 3))
    assert np.degrees(ours.magnitude()).max() < 0.01


@pytest.mark.parametrize("n_spine", [1, 2, 3, 4, 5, 7])
def test_the_whole_turn_of_any_number_of_spine_bones_is_spread_over_three(n_spine):
    """Each bone bends by its share of 60°; what hangs on the chest stays where it is relative to it."""
    bent = [_about("x", 60 * (k + 1) / n_spine) for k in range(n_spine)]
    worlds = {f"bone{number}": turn for number, turn in enumerate(bent)} | {"pelvis": np.eye(3)[None]}
    carried = (
        "neck",
        "head",
        *(f"{s}_{p}" for s in ("left", "right") for p in ("collar", "shoulder", "elbow", "wrist")),
    )
    worlds |= dict.fromkeys(carried, bent[-1])
    (pose,) = to_clip(_recording(worlds, n_spine=n_spine), "a", "a.bvh").poses
    degrees = np.degrees(pose.reshape(24, 3))
    spine = [SMPL24.index(f"spine{number}") for number in (1, 2, 3)]
    np.testing.assert_allclose(degrees[spine].sum(0), [60, 0, 0], atol=1e-6)
    np.testing.assert_allclose(np.delete(degrees, spine, axis=0), 0, atol=1e-6)
    if n_spine != 2:  # with two, the middle joint counts as unrecorded
        np.testing.assert_allclose(degrees[spine, 0], 20, atol=1e-6)


@pytest.mark.parametrize("zero", ["t_pose", "along_x", "hanging"])
def test_limbs_point_where_the_recorded_ones_point(zero):
    """Forward kinematics of the result, without help of the angles that made the recording."""
    recording = _recording(_worlds(_poses()), zero=zero, first="t_pose")
    clip = to_clip(recording, "a", "a.bvh")
    turns = Rotation.from_rotvec(clip.poses.reshape(-1, 3)).as_matrix().reshape(-1, 24, 3, 3)
    ours = world_rotations(turns, SMPL_PARENTS)
    theirs = world_rotations(recording.rotations, recording.parents)[1:]
    t_pose = {"hip": (0, -1, 0), "knee": (0, -1, 0), "shoulder": (1, 0, 0), "elbow": (1, 0, 0)}
    names = list(recording.names)
    for side, word, sign in (("left", "Left", 1), ("right", "Right", -1)):
        for part, direction in t_pose.items():
            bone = names.index(f"mixamorig:{word}" + _MIXAMO[part].removeprefix("{s}"))
            vector = recording.tips[bone] - recording.rest[bone]
            expected = theirs[:, bone] @ (vector / np.linalg.norm(vector))
            found = ours[:, SMPL24.index(f"{side}_{part}")] @ (np.array(direction) * [sign, 1, 1])
            angle = np.degrees(np.arccos(np.clip((expected * found).sum(-1), -1, 1)))
            assert angle.max() < 1, (side, part, angle.max())


def test_a_zero_pose_with_hanging_arms_needs_no_t_pose():
    """Only hanging arms are known to be no T-pose: the shortest turn brings them up."""
    down = {side: _about("z", turn) for side, turn in
            (("left", -80), ("right", 80))}  # fmt: skip
    hanging = {f"{side}_{part}": down[side] for side in down for part in ("shoulder", "elbow", "wrist")}
    worlds = {"pelvis": np.eye(3)[None]} | hanging
    (pose,) = to_clip(_recording(worlds, zero="hanging"), "a", "a.bvh").poses
    degrees = np.degrees(pose.reshape(24, 3))
    np.testing.assert_allclose(degrees[SMPL24.index("left_shoulder")], [0, 0, -80], atol=1e-6)
    np.testing.assert_allclose(np.delete(degrees, [16, 17], axis=0), 0, atol=1e-6)


def test_bones_along_one_axis_without_a_t_pose_are_bound_where_the_person_stands_straightest():
    rng = np.random.default_rng(1)
    poses = np.zeros((5, 24, 3))
    poses[:, SMPL24.index("left_shoulder")], poses[:, SMPL24.index("right_shoulder")] = (
        [0, 0, -1.3],
        [0, 0, 1.3],
    )
    for joint in ("left_hip", "right_hip"):
        poses[:, SMPL24.index(joint)] = rng.normal(0, 0.3, (5, 3))
    poses[3, [1, 2]] = 0
    clip = to_clip(_recording(_worlds(poses), zero="along_x"), "a", "a.bvh")
    ours = Rotation.from_rotvec(clip.poses.reshape(-1, 3)).inv() * Rotation.from_rotvec(poses.reshape(-1, 3))
    assert np.degrees(ours.magnitude()).max() < 0.01


def test_the_user_names_the_frame_that_shows_the_t_pose():
    """Bones along x, a T-pose in the middle, and the person faces sideways there."""
    poses = _poses(5)
    poses[2] = 0
    poses[:, 0] = [0, 1.2, 0]
    recording = _recording(_worlds(poses), zero="along_x")
    clip = to_clip(recording, "a", "a.bvh", bind_frame=2)
    np.testing.assert_allclose(clip.poses[2, 3:], 0, atol=1e-6)
    ours = Rotation.from_rotvec(clip.poses.reshape(-1, 3)).inv() * Rotation.from_rotvec(poses.reshape(-1, 3))
    assert np.degrees(ours.magnitude()).max() < 0.01
    with pytest.raises(UserError, match=r"a\.bvh: --bind-frame 9: the recording has the frames 0 to 4"):
        to_clip(recording, "a", "a.bvh", bind_frame=9)


def test_bones_of_other_names_are_named_in_a_file(tmp_path):
    poses = _poses()
    recording = _recording(_worlds(poses), first="t_pose")
    renamed = recording._replace(names=tuple(f"b{number:02d}" for number in range(len(recording.names))))
    with pytest.raises(UserError, match=r"no bone for left_hip among b00, .*--bones FILE"):
        to_clip(renamed, "a", "a.bvh")
    names, parents, _ = _skeleton()
    lines = [f"{key}: b{list(parents).index(key):02d}" for key in names if not key.startswith("bone")]
    (tmp_path / "bones.yaml").write_text("\n".join(lines))
    clip = to_clip(renamed, "a", "a.bvh", load_bone_names(tmp_path / "bones.yaml"))
    np.testing.assert_allclose(clip.poses, to_clip(recording, "a", "a.bvh").poses, atol=1e-9)
    (tmp_path / "bones.yaml").write_text("left_thigh: b03")
    with pytest.raises(UserError, match="left_thigh: no joint that can be named; choose among pelvis"):
        load_bone_names(tmp_path / "bones.yaml")
    with pytest.raises(UserError, match="no bone 'thigh', which is named for left_hip"):
        to_clip(renamed, "a", "a.bvh", {"left_hip": "thigh"})


def test_left_and_right_the_wrong_way_round_are_seen_by_the_feet():
    recording = _recording(_worlds(_poses()))
    names = [
        name.replace("Left", "\0").replace("Right", "Left").replace("\0", "Right") for name in recording.names
    ]
    with pytest.raises(UserError, match="the feet point backwards, so left and right"):
        to_clip(recording._replace(names=tuple(names)), "a", "a.bvh")


def test_bones_along_one_axis_without_any_turn_are_a_t_pose(tmp_path):
    """Files of some programs: nobody could stand so, and no frame shows anything else."""
    recording = _recording({"pelvis": np.tile(np.eye(3), (3, 1, 1))}, zero="along_x")
    flat = recording._replace(rotations=np.tile(np.eye(3), (3, len(recording.names), 1, 1)))
    np.testing.assert_allclose(to_clip(flat, "a", "a.bvh").poses, 0, atol=1e-9)


BVH = """HIERARCHY
ROOT Hips {{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition {0}
  JOINT Spine {{
    OFFSET 0 2 0
    CHANNELS 3 {0}
    End Site {{ OFFSET 0 1 0 }}
  }}
}}
MOTION
Frames: 1
Frame Time: 0.04
1 2 3 10 20 30 40 50 60
"""


def test_bvh_channels_are_compared_without_case(tmp_path):
    read = []
    for number, words in enumerate(("Zrotation Xrotation Yrotation", "zrotation xrotation yrotation",
                                    "ZRotation XROTATION yRotation")):  # fmt: skip
        path = tmp_path / f"{number}.bvh"
        path.write_text(BVH.format(words))
        read.append(read_bvh(path).rotations)
    expected = Rotation.from_euler("ZXY", [40, 50, 60], degrees=True).as_matrix()
    np.testing.assert_allclose(read[0][0, 1], expected)
    np.testing.assert_array_equal(read[0], read[1])
    np.testing.assert_array_equal(read[0], read[2])
    path.write_text(BVH.format("Zrotation Xrotation Wrotation"))
    with pytest.raises(UserError, match=r"line 4: expected 6 channels such as Zrotation, found .*Wrotation"):
        read_bvh(path)
