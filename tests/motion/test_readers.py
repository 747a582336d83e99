"""The readers against an independent conversion of the same recordings, and against hand-made files."""

import gzip

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from spinloop.errors import UserError
from spinloop.joints import SMPL24
from spinloop.motion.clips import world_rotations
from spinloop.motion.readers import read_amass, read_file, read_motion
from spinloop.motion.recordings import read_amc, read_bvh, skeleton_of

# (raw file, clip of the independent conversion, its first frame here); 120 Hz here, 15 Hz there.
CONVERTED = [
    ("02_03.amc", "cmu_02_03", 0),
    ("03_02.amc", "cmu_03_02", 0),
    ("07_05-walk.amc", "cmu_07_05", 0),
    ("131_04-dance.amc.gz", "cmu_131_04", 0),
    ("max_07_01.bvh", "cmu_07_01", 1),
    ("max_131_01.bvh.gz", "cmu_131_01", 1),
    ("mb_05_06.bvh.gz", "cmu_05_06", 1),
    ("daz_salsa_01.bvh.gz", "salsa_01", 0),
    ("daz_martial_04.bvh.gz", "martial_04", 0),
]


@pytest.fixture(scope="module")
def converted(shared_data):
    archive = np.load(shared_data / "mocap_cmu" / "cmu_smpl_poses.npz")
    spans = zip(archive["clip_name"], archive["clip_start"], archive["clip_len"], strict=True)
    poses = archive["poses"].astype(float)
    return {str(name): poses[start : start + length] for name, start, length in spans}


@pytest.mark.parametrize(("raw", "clip", "first"), CONVERTED)
def test_real_recordings_equal_the_independent_conversion(shared_data, converted, raw, clip, first):
    expected = converted[clip]
    (found,) = read_file(shared_data / "mocap_cmu" / "raw" / raw)
    poses = found.poses[first::8][: len(expected)]
    assert len(poses) == len(expected)
    assert found.fps == pytest.approx(120, rel=1e-3)
    ours, theirs = (Rotation.from_rotvec(p.reshape(-1, 3)) for p in (poses, expected))
    angle = np.degrees((ours.inv() * theirs).magnitude()).reshape(len(poses), 24).max(0)
    assert angle.max() < 0.1, dict(zip(SMPL24, angle.round(2), strict=True))


def test_two_solutions_of_one_performance_agree_on_the_limbs(shared_data):
    """The same walk of CMU, once as Acclaim files and once as MotionBuilder solved the markers anew."""
    raw = shared_data / "mocap_cmu" / "raw"
    (one,), (other,) = read_file(raw / "02_01.amc"), read_file(raw / "mb_02_01.bvh")
    n = min(len(one.poses), len(other.poses))
    turn = Rotation.from_rotvec(one.poses[:n].reshape(-1, 3)).inv()
    angle = np.degrees((turn * Rotation.from_rotvec(other.poses[:n].reshape(-1, 3))).magnitude()).reshape(
        n, 24
    )
    joints = [f"{side}_{part}" for side in ("left", "right") for part in ("hip", "knee", "elbow")]
    worst = angle[:, [SMPL24.index(joint) for joint in joints]].mean(0).max()
    assert worst < 10, worst


BVH = """HIERARCHY
ROOT Hips
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT Spine
  {
    OFFSET 0 2 0
    CHANNELS 3 Yrotation Xrotation Zrotation
    End Site
    {
      OFFSET 0 1 0
    }
  }
}
MOTION
Frames: 2
Frame Time: 0.04
1 2 3 10 20 30 40 50 60
1 2 3 0 0 0 0 0 90
"""


def _write(folder, name, text):
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize("name", ["walk.bvh", "walk.bvh.gz"])
def test_bvh_channels_turn_in_the_order_in_which_they_are_listed(tmp_path, name):
    recording = read_bvh(_write(tmp_path, name, BVH))
    assert recording.names == ("Hips", "Spine")
    assert recording.parents == (-1, 0)
    assert recording.fps == pytest.approx(25)
    np.testing.assert_allclose(recording.rest, [[0, 0, 0], [0, 2, 0]])
    np.testing.assert_allclose(recording.tips, [[0, 2, 0], [0, 3, 0]])

    def about(axis, degrees):
        return Rotation.from_euler(axis, degrees, degrees=True).as_matrix()

    np.testing.assert_allclose(recording.rotations[0, 0], about("z", 10) @ about("x", 20) @ about("y", 30))
    np.testing.assert_allclose(recording.rotations[0, 1], about("y", 40) @ about("x", 50) @ about("z", 60))
    world = world_rotations(recording.rotations, recording.parents)
    np.testing.assert_allclose(world[1, 1], about("z", 90), atol=1e-12)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("1 2 3 0 0 0 0 0 90\n", "", "expected 2 frames, found 1"),
        ("0 0 0 0 0 90", "0 0 0 0 90", "line 20: expected 9 numbers, found 8"),
        ("0 0 0 0 0 90", "0 0 0 0 0 x", "line 20: could not convert"),
        ("0 0 0 0 0 90", "0 0 0 0 0 nan", "line 20: not a finite number"),
        ("Frames: 2", "Frame: 2", "expected Frames"),
        ("MOTION", "MOTIONS", "line 16: not expected in a BVH hierarchy"),
        ("Frame Time: 0.04", "Frame Time: 0", "expected 2 frames"),
    ],
)
def test_a_damaged_bvh_names_the_line(tmp_path, old, new, message):
    assert old in BVH
    with pytest.raises(UserError, match=message) as caught:
        read_bvh(_write(tmp_path, "walk.bvh", BVH.replace(old, new)))
    assert "walk.bvh" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_bvh_that_stops_in_the_hierarchy_is_refused(tmp_path):
    with pytest.raises(UserError, match="ends before MOTION"):
        read_bvh(_write(tmp_path, "walk.bvh", BVH[:150].rpartition("\n")[0]))


def test_bones_of_an_unknown_naming_are_refused(tmp_path):
    _write(tmp_path, "walk.bvh", BVH)
    with pytest.raises(UserError, match=r"walk\.bvh: no bone for left_hip"):
        read_motion(tmp_path)


def test_damaged_compression_is_refused(tmp_path):
    (tmp_path / "walk.bvh.gz").write_bytes(gzip.compress(BVH.encode())[:40])
    with pytest.raises(UserError, match="not readable"):
        read_bvh(tmp_path / "walk.bvh.gz")


ASF = """# made by hand
:version 1.10
:units
  length 0.45
  angle deg
:root
   order TX TY TZ RX RY RZ
   axis XYZ
:bonedata
  begin
     id 1
     name arm
     direction 1 0 0
     length 3
     axis 0 0 90 XYZ
     dof rx rz
  end
  begin
     id 2
     name hand
     direction 0 1 0
     length 1
     axis 0 0 0 XYZ
  end
:hierarchy
  begin
    root arm
    arm hand
  end
"""
AMC = """#!made by hand
:FULLY-SPECIFIED
:DEGREES
1
root 1 2 3 0 90 0
arm 30 0
2
root 1 2 3 0 0 0
arm 0 45
"""


def test_acclaim_angles_are_about_the_axes_of_the_bone(tmp_path):
    skeleton = _write(tmp_path, "02.asf", ASF)
    recording = read_amc(_write(tmp_path, "02_01.amc", AMC), skeleton)
    assert recording.names == ("root", "arm", "hand")
    assert recording.parents == (-1, 0, 1)
    np.testing.assert_allclose(recording.rest, [[0, 0, 0], [0, 0, 0], [3, 0, 0]])
    np.testing.assert_allclose(recording.tips[2], [3, 1, 0])
    # The bone's x axis is the world's y axis; its z axis is the world's.
    about_y = Rotation.from_euler("y", 30, degrees=True).as_matrix()
    about_z = Rotation.from_euler("z", 45, degrees=True).as_matrix()
    np.testing.assert_allclose(recording.rotations[0, 1], about_y, atol=1e-12)
    np.testing.assert_allclose(recording.rotations[1, 1], about_z, atol=1e-12)
    np.testing.assert_allclose(recording.rotations[:, 2], np.tile(np.eye(3), (2, 1, 1)))


@pytest.mark.parametrize(
    ("asf", "amc", "message"),
    [
        (ASF, AMC.replace("arm 0 45", "leg 0 45"), r"02_01\.amc: line 9: unknown bone leg"),
        (ASF, AMC.replace("arm 0 45", "arm 0"), r"02_01\.amc: line 9: expected 2 angles of arm"),
        (ASF, "#!\n", "no frame of motion"),
        (ASF.replace(":hierarchy", ":tree"), AMC, r"02\.asf: :hierarchy: missing"),
        (ASF.replace("arm hand", "arm foot"), AMC, r"02\.asf: line \d+: unknown bone foot"),
        (ASF.replace("     length 3\n", ""), AMC, "a bone without length"),
        (ASF.rpartition("  end")[0], AMC, "ends inside a block"),
    ],
)
def test_damaged_acclaim_files_name_the_line(tmp_path, asf, amc, message):
    with pytest.raises(UserError, match=message):
        read_amc(_write(tmp_path, "02_01.amc", amc), _write(tmp_path, "02.asf", asf))


def test_the_skeleton_is_that_of_the_same_subject(tmp_path):
    motion = _write(tmp_path, "02_01-walk.amc", AMC)
    with pytest.raises(UserError, match=r"expected one skeleton"):
        skeleton_of(motion)
    only = _write(tmp_path, "other.asf", ASF)
    assert skeleton_of(motion) == only
    same = _write(tmp_path, "02-walk.asf", ASF)
    assert skeleton_of(motion) == same
    _write(tmp_path, "02.asf", ASF)
    with pytest.raises(UserError, match=r"02-walk\.asf, 02\.asf"):
        skeleton_of(motion)


def test_the_skeleton_is_the_one_whose_name_agrees_the_longest(tmp_path):
    for name in ("HDM_bd.asf", "HDM_bk.asf", "1.asf", "13.asf"):
        _write(tmp_path, name, ASF)
    assert skeleton_of(_write(tmp_path, "HDM_bd_walk_001_120.amc", AMC)).name == "HDM_bd.asf"
    assert skeleton_of(_write(tmp_path, "13_02.amc", AMC)).name == "13.asf"
    with pytest.raises(UserError, match=r"expected one skeleton .* beside it, found 1\.asf, 13\.asf"):
        skeleton_of(_write(tmp_path, "12_02.amc", AMC))


def test_the_roots_channels_come_in_the_order_that_the_skeleton_lists(tmp_path):
    skeleton = _write(tmp_path, "02.asf", ASF.replace("TX TY TZ RX RY RZ", "RZ RX RY TX TY TZ"))
    motion = AMC.replace("root 1 2 3 0 90 0", "root 20 30 40 1 2 3")
    recording = read_amc(_write(tmp_path, "02_01.amc", motion), skeleton)
    turn = Rotation.from_euler("zxy", [20, 30, 40], degrees=True).as_matrix()
    np.testing.assert_allclose(recording.rotations[0, 0], turn, atol=1e-12)
    with pytest.raises(UserError, match=r"02\.asf: line 7: order: expected TX TY TZ RX RY RZ"):
        read_amc(tmp_path / "02_01.amc", _write(tmp_path, "02.asf", ASF.replace("TX TY TZ", "TX TX TZ")))


def test_one_faulty_file_of_a_folder_is_left_out_with_a_word(tmp_path, capsys):
    np.savez(tmp_path / "good.npz", poses=np.zeros((2, 156)), mocap_framerate=60.0)
    _write(tmp_path, "bad.bvh", BVH)
    (tmp_path / "notes.txt").write_text("nothing")
    assert [clip.name for clip in read_motion(tmp_path)] == ["good"]
    said = " ".join(capsys.readouterr().err.split())
    assert "1 of 3 files left out, the first:" in said
    assert "no bone for left_hip" in said
    assert "1 of 3 files are no motion: notes.txt" in said


@pytest.mark.parametrize(("width", "n_kept"), [(72, 72), (156, 66), (165, 66)])
def test_amass_poses_lose_their_fingers_and_stand_upright(tmp_path, width, n_kept):
    poses = 0.1 * np.random.default_rng(0).normal(size=(4, width))
    poses[:, :3] = Rotation.from_euler("x", 90, degrees=True).as_rotvec()  # AMASS: z is up
    path = tmp_path / "walk_poses.npz"
    np.savez(
        path, poses=poses, mocap_framerate=120.0, trans=np.zeros((4, 3)), gender=np.array({}, dtype=object)
    )
    (clip,) = read_motion(tmp_path)
    assert (clip.name, clip.fps) == ("walk_poses", 120.0)
    np.testing.assert_allclose(clip.poses[:, :3], 0, atol=1e-12)
    np.testing.assert_array_equal(clip.poses[:, 3:n_kept], poses[:, 3:n_kept])
    assert (clip.poses[:, n_kept:] == 0).all()


@pytest.mark.parametrize("poses", [np.zeros((4, 63)), np.zeros((0, 156)), np.full((2, 156), np.nan)])
def test_wrong_amass_poses_are_refused(tmp_path, poses):
    with pytest.raises(UserError, match="poses: "):
        read_amass(tmp_path / "a.npz", {"poses": poses, "mocap_framerate": np.array(60.0)})


def _bundle(folder, **changes):
    arrays = {
        "poses": np.arange(7 * 72, dtype=np.float32).reshape(7, 72),
        "clip_name": np.array(["one", "two"]),
        "clip_start": np.array([0, 3]),
        "clip_len": np.array([3, 4]),
        "fps": np.array([15.0, 30.0]),
        "ok": np.array([1, 1, 0, 1, 1, 1, 1], dtype=bool),
    }
    np.savez(folder / "bundle.npz", **(arrays | changes))


def test_a_bundle_gives_its_clips_without_the_rows_marked_bad(tmp_path):
    _bundle(tmp_path)
    one, two = read_motion(tmp_path)
    assert (one.name, two.name, two.fps) == ("one", "two", 30.0)
    np.testing.assert_array_equal(one.poses[:, 0], [0, 72])
    np.testing.assert_array_equal(two.poses[:, 0], [216, 288, 360, 432])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"poses": np.zeros((7, 69))}, "poses: expected shape"),
        ({"clip_len": np.array([3, 5])}, "the clips do not fit into 7 poses"),
        ({"fps": np.array([15.0])}, "the clips do not fit"),
        ({"poses": np.full((7, 72), np.inf)}, "not all entries are finite"),
    ],
)
def test_a_wrong_bundle_is_refused(tmp_path, changes, message):
    _bundle(tmp_path, **changes)
    with pytest.raises(UserError, match=message):
        read_motion(tmp_path)


def test_folders_are_read_in_the_order_of_names_whatever_the_listing(tmp_path):
    for name in ("b", "a", "c"):
        (tmp_path / name).mkdir()
        np.savez(tmp_path / name / f"{name}.npz", poses=np.zeros((2, 156)), mocap_framerate=60.0)
    assert [clip.name for clip in read_motion(tmp_path)] == ["a", "b", "c"]


def test_a_folder_without_motion_or_none_at_all_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with pytest.raises(UserError, match="contains no recorded motion"):
        read_motion(tmp_path)
    with pytest.raises(UserError, match="no such file or folder"):
        read_motion(tmp_path / "absent")


def test_a_file_may_be_named_instead_of_its_folder(tmp_path):
    for name in ("a", "b"):
        np.savez(tmp_path / f"{name}.npz", poses=np.zeros((2, 156)), mocap_framerate=60.0)
    assert [clip.name for clip in read_motion(tmp_path / "b.npz")] == ["b"]
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(UserError, match="contains no recorded motion"):
        read_motion(tmp_path / "notes.txt")
