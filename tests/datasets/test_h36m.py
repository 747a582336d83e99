"""Human3.6M: trees written with cdflib, h5py and OpenCV from the format's description."""

import pickle
import tracemalloc

import cdflib.cdfwrite
import cv2
import h5py
import numpy as np
import pytest

from spinloop.datasets.h36m import read_h36m
from spinloop.errors import UserError
from spinloop.params.datasets import H36mSource
from spinloop.stages import preprocess
from spinloop.tables.records import ReadCounts

CAMERAS = ["54138969", "60457274"]
N_FRAMES = 11
RULES = {
    "reader": "h36m", "raw": "", "box_factor": 0.9, "frames": "video", "missing_frames": 0, "skip": [],
    "subjects": ["S9"], "cameras": CAMERAS, "every": 5, "has_2d": True, "mosh": None, "openpose": None,
}  # fmt: skip
PARAMS = """
sources:
  h36m_p1: {reader: h36m, raw: x, box_factor: 0.9, frames: video, missing_frames: 0, skip: [], subjects: [S9],
    cameras: ["54138969", "60457274"], every: 5, has_2d: true, mosh: null, openpose: null}
"""


def source(**changes) -> H36mSource:
    return H36mSource(**{**RULES, **changes})


def write_poses(path, poses):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    what = {
        "Variable": "Pose", "Data_Type": 21, "Num_Elements": 1, "Rec_Vary": True,
        "Dim_Sizes": list(poses.shape),
    }  # fmt: skip
    with cdflib.cdfwrite.CDF(path) as file:
        file.write_var(what, var_data=poses[None].astype(np.float32))


def write_masks(path, boxes, size=(48, 64)):
    """`boxes`: left, top, right, bottom of each frame; HDF5 has x before y."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w", userblock_size=512) as file:
        references = np.empty((len(boxes), 1), dtype=h5py.ref_dtype)
        for index, (left, top, right, bottom) in enumerate(boxes):
            mask = np.zeros(size, dtype=np.uint8)
            mask[top:bottom, left:right] = 1
            references[index, 0] = file.create_dataset(f"#refs#/m{index}", data=mask.T, compression=1).ref
        file["Masks"] = references


def write_recording(raw, write_video, action, camera, seed, n_frames=N_FRAMES):
    rng = np.random.default_rng(seed)
    deep, flat = rng.normal(0, 300, (n_frames, 32, 3)), rng.uniform(5, 45, (n_frames, 32, 2))
    name = f"{action}.{camera}"
    features = raw / "S9" / "MyPoseFeatures"
    write_poses(features / "D3_Positions_mono" / f"{name}.cdf", deep.reshape(n_frames, 96))
    write_poses(features / "D2_Positions" / f"{name}.cdf", flat.reshape(n_frames, 64))
    boxes = [(4 + index, 6, 30 + index, 40) for index in range(n_frames)]
    write_masks(raw / "S9" / "MySegmentsMat" / "ground_truth_bb" / f"{name}.mat", boxes)
    frames = [np.full((48, 64, 3), 10 * (index + 1), dtype=np.uint8) for index in range(n_frames)]
    write_video(raw / "S9" / "Videos" / f"{name}.mp4", frames)
    return deep, flat


@pytest.fixture
def tree(tmp_path, write_video):
    """Two actions of S9 before two cameras, and the file of all actions that some releases have."""
    raw = tmp_path / "h36m"
    content = {}
    for seed, action in enumerate(("Walking 1", "Directions")):
        for camera in CAMERAS:
            made = write_recording(raw, write_video, action, camera, [seed, int(camera)])
            content[f"{action}.{camera}"] = made
    write_poses(raw / "S9/MyPoseFeatures/D3_Positions_mono/_ALL 1.54138969.cdf", np.zeros((2, 96)))
    return raw, content


def read(raw, rules, is_official=False):
    counts = ReadCounts()
    return list(read_h36m(raw, "h36m_p1", rules, is_official, counts)), counts.stats()


def test_rows_are_those_of_the_files_in_the_order_of_their_names(tree):
    raw, content = tree
    records, stats = read(raw, source())
    names = [f"{action}.{camera}" for action in ("Directions", "Walking 1") for camera in CAMERAS]
    expected = [(name, frame) for name in names for frame in (0, 5, 10)]
    assert [record.image for record in records] == [
        f"S9/Videos/{name}.mp4/{frame + 1:06d}.jpg" for name, frame in expected
    ]
    assert stats["kept"] == 12
    for record, (name, frame) in zip(records, expected, strict=True):
        deep, flat = content[name]
        # Left ankle: raw joint 8, the sixth of the 24; the root is raw joint 11.
        np.testing.assert_allclose(
            record.joints_3d[5], [*(deep[frame, 8] - deep[frame, 11]) / 1000, 1], atol=1e-6
        )
        np.testing.assert_allclose(record.keypoints[5], [*flat[frame, 8], 1], atol=1e-5)
        np.testing.assert_allclose(record.joints_3d[14], [0, 0, 0, 1])
        np.testing.assert_array_equal(record.joints_3d[13], 0)
        np.testing.assert_allclose(record.center, [17 + frame, 23])
        assert record.scale == pytest.approx(0.9 * 34 / 200)
        assert (record.image_height, record.image_width) == (48, 64)
    assert records[0].id == "h36m_p1/S9/Videos/Directions.54138969.mp4/000001.jpg#0"
    assert [records[0].sequence, records[6].sequence] == ["S9/Directions", "S9/Walking 1"]
    assert [records[0].activity, records[6].activity] == ["Directions", "Walking"]


def test_a_protocol_is_a_choice_of_cameras(tree):
    records, _ = read(tree[0], source(cameras=["60457274"]))
    assert {record.image.split(".")[1] for record in records} == {"60457274"}
    assert len(records) == 6


def test_the_published_picture_is_the_videos_next_frame(tree):
    """The last frame has no next one, and is lost."""
    records, stats = read(tree[0], source(), is_official=True)
    numbers = [int(record.image[-10:-4]) for record in records]
    assert numbers == [2, 7] * 4
    assert [record.frame for record in records] == [0, 5] * 4
    assert stats["left_out"] == {"video_ended": 4}


def test_extracted_pictures_keep_the_published_names(tree, write_jpeg):
    raw, _ = tree
    for action in ("Directions", "Walking_1"):
        for camera in CAMERAS:
            for number in (1, 6, 11):
                write_jpeg(raw / "images" / f"S9_{action}.{camera}_{number:06d}.jpg", 48, 64)
    for is_official in (False, True):
        records, _ = read(raw, source(frames="images"), is_official)
        assert records[6].image == "images/S9_Walking_1.54138969_000001.jpg"
        assert len(records) == 12


def test_without_2d_its_files_are_not_needed(tree):
    raw, _ = tree
    for path in (raw / "S9" / "MyPoseFeatures" / "D2_Positions").iterdir():
        path.unlink()
    records, _ = read(raw, source(has_2d=False))
    assert all(record.keypoints is None for record in records)
    with pytest.raises(UserError, match=r"D2_Positions/Directions\.54138969\.cdf: no such file; download"):
        read(raw, source())


def test_an_empty_mask_and_a_joint_that_is_no_number_are_counted(tree):
    raw, content = tree
    boxes = [(0, 0, 0, 0)] + [(4, 6, 30, 40)] * (N_FRAMES - 1)
    write_masks(raw / "S9/MySegmentsMat/ground_truth_bb/Directions.54138969.mat", boxes)
    deep = content["Directions.60457274"][0].reshape(N_FRAMES, 96).copy()
    deep[5, 7] = np.nan
    write_poses(raw / "S9/MyPoseFeatures/D3_Positions_mono/Directions.60457274.cdf", deep)
    assert read(raw, source())[1]["left_out"] == {"empty_box": 1, "not_finite": 1}


def fails(raw, message, **changes):
    with pytest.raises(UserError, match=message) as caught:
        read(raw, source(**changes))
    assert "\n" not in str(caught.value)


def test_a_missing_file_of_each_kind_is_named_with_the_cure(tree):
    raw, _ = tree
    for folder, suffix, message in (
        ("Videos", ".mp4", "no such video; complete the download of the videos"),
        ("MySegmentsMat/ground_truth_bb", ".mat", "no such file; download and unpack"),
        ("MyPoseFeatures/D3_Positions_mono", ".cdf", r"no such file; .*or list 'S9/Directions' in sources"),
    ):
        path = raw / "S9" / folder / f"Directions.54138969{suffix}"
        kept = path.read_bytes()
        path.unlink()
        fails(raw, rf"Directions\.54138969\{suffix}: {message}")
        path.write_bytes(kept)
    fails(raw, r"S8/MyPoseFeatures/D3_Positions_mono: no poses \(\*\.cdf\) there", subjects=["S8"])
    fails(raw, r"mosh: no such folder; get MoSh's files again", mosh="mosh")
    fails(raw, r"sources\.h36m_p1\.cameras: 1 is none of 54138969", cameras=["1"])


@pytest.mark.parametrize("length", [0, 4, 100, 400, 1500])
def test_a_truncated_file_of_poses_is_one_line(tree, length):
    path = tree[0] / "S9/MyPoseFeatures/D3_Positions_mono/Directions.54138969.cdf"
    path.write_bytes(path.read_bytes()[:length])
    fails(tree[0], r"Directions\.54138969\.cdf: not a readable CDF file with poses \(.+\); download")


def test_an_unknown_version_of_cdf_is_one_line(tree):
    path = tree[0] / "S9/MyPoseFeatures/D3_Positions_mono/Directions.54138969.cdf"
    path.write_bytes(b"\xcd\xf4\x00\x01" + path.read_bytes()[4:])
    fails(tree[0], r"not a readable CDF file with poses \(.*not a CDF file or a non-supported CDF")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_truncated_file_of_masks_is_one_line(tree, share):
    path = tree[0] / "S9/MySegmentsMat/ground_truth_bb/Directions.54138969.mat"
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    fails(tree[0], r"Directions\.54138969\.mat: not a readable MATLAB 7\.3 file")


def test_masks_that_nobody_uses_may_be_missing_at_the_end(tree):
    raw, _ = tree
    masks = raw / "S9/MySegmentsMat/ground_truth_bb/Directions.54138969.mat"
    write_masks(masks, [(1, 2, 9, 12)] * (N_FRAMES - 1))
    last = (N_FRAMES - 2) // 4 * 4
    records, _ = read(raw, source(every=4))
    assert max(record.frame for record in records) == last


def test_wrong_shapes_are_named(tree):
    raw, _ = tree
    mono = raw / "S9/MyPoseFeatures/D3_Positions_mono/Directions.54138969.cdf"
    write_poses(mono, np.zeros((N_FRAMES, 64)))
    fails(raw, r"Pose: expected 1 × frames × 96, found 1 × 11 × 64")
    write_poses(mono, np.zeros((N_FRAMES, 96)))
    flat = raw / "S9/MyPoseFeatures/D2_Positions/Directions.54138969.cdf"
    write_poses(flat, np.zeros((3, 64)))
    fails(raw, r"D2_Positions/Directions\.54138969\.cdf: Pose: expected 11 frames, found 3")
    write_poses(flat, np.zeros((N_FRAMES, 64)))
    masks = raw / "S9/MySegmentsMat/ground_truth_bb/Directions.54138969.mat"
    write_masks(masks, [(0, 0, 5, 5)] * 4)
    fails(raw, r"Masks: expected 11 frames, found 4")
    with h5py.File(masks, "w") as file:
        file["Masks"] = np.zeros((11, 1))
    fails(raw, r"Masks: expected a column of cells: found float64")
    with h5py.File(masks, "w") as file:
        file["Other"] = np.zeros(3)
    fails(raw, "Masks: missing")


def test_a_stray_file_is_named(tree):
    write_poses(tree[0] / "S9/MyPoseFeatures/D3_Positions_mono/Walking.cdf", np.zeros((2, 96)))
    fails(tree[0], r"Walking\.cdf: expected a name such as 'Walking 1\.60457274\.cdf'")


def test_a_video_that_is_shorter_than_its_poses_stops_unless_the_user_allows_it(tree, write_video):
    raw, _ = tree
    path = raw / "S9/Videos/Directions.54138969.mp4"
    write_video(path, [np.zeros((48, 64, 3), dtype=np.uint8)] * 9)
    fails(
        raw, r"Directions\.54138969\.mp4: 9 frames, but 11 poses; .*missing_frames, or list 'S9/Directions'"
    )
    records, stats = read(raw, source(missing_frames=2))
    assert len(records) == 11
    assert stats["left_out"] == {"video_ended": 1}
    records, _ = read(raw, source(skip=["S9/Directions"]))
    assert {record.activity for record in records} == {"Walking"}


def test_a_failure_in_the_middle_leaves_no_table(tree, tmp_path):
    raw, _ = tree
    (tmp_path / "params.yaml").write_text(PARAMS)
    last = raw / "S9/MySegmentsMat/ground_truth_bb/Walking 1.60457274.mat"
    last.write_bytes(last.read_bytes()[:600])
    out = tmp_path / "out"
    with pytest.raises(UserError, match=r"Walking 1\.60457274\.mat: not a readable"):
        preprocess.run(
            split="h36m_p1", source="h36m", raw=raw, out=out / "t.parquet", stats=out / "s.json",
            params=tmp_path / "params.yaml",
        )  # fmt: skip
    assert list(out.iterdir()) == []


def write_mosh(raw, **changes):
    rng = np.random.default_rng(4)
    content = {"new_poses": rng.normal(size=(3, 72)), "betas": rng.normal(size=10), **changes}
    path = raw / "mosh" / "S9" / "Directions_cam3_aligned.pkl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol=2))
    return content


def test_mosh_joins_every_fifth_frame_turned_upright_and_its_gaps_are_counted(tree):
    content = write_mosh(tree[0])
    records, stats = read(tree[0], source(mosh="mosh"))
    assert stats["noted"] == {"no_smpl_parameters": 9}
    fitted = [record for record in records if record.pose is not None]
    assert {record.image.split("/")[2] for record in fitted} == {"Directions.60457274.mp4"}
    half_turn = cv2.Rodrigues(np.array([np.pi, 0, 0]))[0]
    for record, pose in zip(fitted, content["new_poses"], strict=True):
        wanted = cv2.Rodrigues(pose[:3])[0] @ half_turn
        np.testing.assert_allclose(cv2.Rodrigues(record.pose[:3])[0], wanted, atol=1e-9)
        np.testing.assert_array_equal(record.pose[3:], pose[3:])
        np.testing.assert_array_equal(record.betas, content["betas"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"new_poses": np.zeros((3, 69))}, r"new_poses: expected frames × 72, found 3 × 69"),
        ({"betas": np.zeros(16)}, r"betas: expected 10, found 16"),
        ({"betas": "none"}, "betas: expected finite numbers, found str"),
    ],
)
def test_a_wrong_mosh_file_is_one_line(tree, changes, message):
    write_mosh(tree[0], **changes)
    fails(tree[0], rf"Directions_cam3_aligned\.pkl: .*{message}", mosh="mosh")


def test_masks_are_read_one_by_one(tree):
    """Five hundred masks of a million pixels in far less memory than half a gigabyte."""
    raw, _ = tree
    path = raw / "S9/MySegmentsMat/ground_truth_bb/Directions.54138969.mat"
    with h5py.File(path, "w") as file:
        one = file.create_dataset("m", data=np.ones((1000, 1000), dtype=np.uint8), compression=1)
        references = np.empty((500, 1), dtype=h5py.ref_dtype)
        references[:, 0] = one.ref
        file["Masks"] = references
    tracemalloc.start()
    records, _ = read(raw, source(every=1))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(records) == 4 * N_FRAMES
    assert peak < 2e7, peak
