"""MPI-INF-3DHP: trees written with scipy, h5py and OpenCV from the format's description."""

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from spinloop.datasets.mpi_inf_3dhp import read_mpi_inf_3dhp
from spinloop.datasets.mpi_inf_3dhp_test import read_mpi_inf_3dhp_test
from spinloop.errors import UserError
from spinloop.params.datasets import MpiInf3dhpSource, MpiInf3dhpTestSource
from spinloop.stages import preprocess
from spinloop.tables.records import ReadCounts

N_FRAMES = 12
RULES = {
    "reader": "mpi_inf_3dhp", "raw": "", "openpose": None, "box_factor": 1.2, "frames": "video",
    "missing_frames": 0, "skip": [], "subjects": ["S1"], "views": [0, 2], "every": 10, "fits": None,
}  # fmt: skip
TEST_RULES = {
    "reader": "mpi_inf_3dhp_test", "raw": "", "box_factor": 1.2, "sequences": ["TS1", "TS6"],
    "skeleton": "universal",
}  # fmt: skip
PARAMS = """
sources:
  mpi_inf_3dhp_test: {reader: mpi_inf_3dhp_test, raw: x, box_factor: 1.2, sequences: [TS1, TS6],
    skeleton: universal}
"""


def cells(parts):
    column = np.empty((len(parts), 1), dtype=object)
    for index, part in enumerate(parts):
        column[index, 0] = part
    return column


def grey(number):
    return np.full((48, 64, 3), 20 * number, dtype=np.uint8)


@pytest.fixture
def train(tmp_path, write_video):
    """S1, two sequences of two views; two frames of the second view show less than the whole person."""
    raw = tmp_path / "train"
    content = {}
    for number, sequence in enumerate(("Seq1", "Seq2")):
        rng = np.random.default_rng(number)
        flat = [rng.uniform(4, 44, (N_FRAMES, 56)) for _ in range(14)]
        deep = [rng.normal(0, 300, (N_FRAMES, 84)) for _ in range(14)]
        # Raw joint 18 is a hip, which is used; raw joint 27 is a toe, which is not.
        flat[2][0, 36], flat[2][3, 37], flat[2][5, 54] = 64.0, -0.5, 999.0
        folder = raw / "S1" / sequence
        folder.mkdir(parents=True)
        savemat(folder / "annot.mat", {"annot2": cells(flat), "annot3": cells(deep)})
        for view in (0, 2):
            frames = [grey(index + 1) for index in range(N_FRAMES)]
            write_video(folder / "imageSequence" / f"video_{view}.avi", frames)
        content[sequence] = (flat, deep)
    return raw, content


def read(raw, counts=None, **changes):
    counts = counts or ReadCounts()
    source = MpiInf3dhpSource(**{**RULES, **changes})
    return list(read_mpi_inf_3dhp(raw, "train", source, False, counts)), counts.stats()


def test_one_in_ten_of_the_whole_people_is_kept_counted_over_all_videos(train):
    """12 + 10 + 12 + 10 frames show all joints; the 1st, 11th, 21st, 31st and 41st are kept."""
    raw, content = train
    records, stats = read(raw)
    rows = [("Seq1", 0, 0), ("Seq1", 0, 10), ("Seq1", 2, 10), ("Seq2", 0, 8), ("Seq2", 2, 8)]
    assert [record.image for record in records] == [
        f"S1/{sequence}/imageSequence/video_{view}.avi/{frame + 1:06d}.jpg" for sequence, view, frame in rows
    ]
    assert stats["left_out"] == {"thinned_out": 39, "joint_outside": 4}
    for record, (sequence, view, frame) in zip(records, rows, strict=True):
        flat, deep = content[sequence]
        pixels, joints = flat[view][frame].reshape(28, 2), deep[view][frame].reshape(28, 3)
        # Left elbow, raw joint 10, is the eleventh of the 24; the head's top, raw 7, stands at 18.
        np.testing.assert_allclose(record.keypoints[10], [*pixels[10], 1])
        np.testing.assert_allclose(record.joints_3d[10], [*(joints[10] - joints[4]) / 1000, 1])
        np.testing.assert_allclose(record.keypoints[18], [*pixels[7], 1])
        np.testing.assert_array_equal(record.keypoints[13], 0)
        assert (record.sequence, record.frame) == (f"S1/{sequence}", frame)
        assert (record.image_height, record.image_width) == (48, 64)


def extract(raw, write_jpeg, sequence, view, numbers):
    for number in numbers:
        folder = raw / "S1" / sequence / "imageFrames" / f"video_{view}"
        write_jpeg(folder / f"frame_{number:06d}.jpg", 48, 64)


def test_the_number_of_an_extracted_frame_names_it_whatever_the_listing(train, write_jpeg):
    raw, content = train
    for sequence in ("Seq1", "Seq2"):
        extract(raw, write_jpeg, sequence, 0, [9, 3, 12])
        extract(raw, write_jpeg, sequence, 2, [1, 2, 4, 6])
    records, stats = read(raw, frames="images", every=1)
    assert [record.image for record in records[:5]] == [
        "S1/Seq1/imageFrames/video_0/frame_000003.jpg",
        "S1/Seq1/imageFrames/video_0/frame_000009.jpg",
        "S1/Seq1/imageFrames/video_0/frame_000012.jpg",
        "S1/Seq1/imageFrames/video_2/frame_000002.jpg",
        "S1/Seq1/imageFrames/video_2/frame_000006.jpg",
    ]
    pixels = content["Seq1"][0][0][8].reshape(28, 2)
    np.testing.assert_allclose(records[1].keypoints[10, :2], pixels[10])
    assert stats["left_out"] == {"not_extracted": 34, "joint_outside": 4}


def test_an_extracted_frame_without_annotation_is_named(train, write_jpeg):
    raw, _ = train
    extract(raw, write_jpeg, "Seq1", 0, [1, 13])
    with pytest.raises(
        UserError, match=r"frame_000013\.jpg: expected frame_000001\.jpg to frame_000012\.jpg"
    ):
        read(raw, frames="images")
    (raw / "S1/Seq1/imageFrames/video_0/frame_000013.jpg").unlink()
    with pytest.raises(UserError, match=r"imageFrames/video_2: no extracted frames"):
        read(raw, frames="images")


def test_an_unreadable_extracted_frame_is_counted_and_shifts_nobody(train, write_jpeg):
    raw, _ = train
    for sequence in ("Seq1", "Seq2"):
        for view in (0, 2):
            extract(raw, write_jpeg, sequence, view, range(1, 13))
    (raw / "S1/Seq1/imageFrames/video_0/frame_000011.jpg").write_bytes(b"")
    records, stats = read(raw, frames="images")
    assert stats["left_out"]["unreadable_image"] == 1
    assert [record.frame for record in records] == [0, 10, 8, 8]


def write_fits(path, n_rows, **more):
    rng = np.random.default_rng(9)
    arrays = {"pose": rng.normal(size=(n_rows, 72)), "shape": rng.normal(size=(n_rows, 10))}
    arrays["has_smpl"] = np.arange(n_rows) % 2 == 0
    np.savez(path, **{**arrays, **more})
    return {**arrays, **more}


def test_fits_join_by_row_and_a_row_without_a_fit_stays_without(train):
    raw, _ = train
    fits = write_fits(raw / "fits.npz", 5)
    records, stats = read(raw, fits="fits.npz")
    assert [record.pose is None for record in records] == [False, True, False, True, False]
    assert stats["noted"] == {"no_smpl_parameters": 2}
    for row in (0, 2, 4):
        np.testing.assert_array_equal(records[row].pose, fits["pose"][row])
        np.testing.assert_array_equal(records[row].betas, fits["shape"][row])
        assert records[row].gender == "neutral"


def test_fits_with_names_join_by_name(train):
    raw, _ = train
    names = [
        "S1/Seq2/imageFrames/video_2/frame_000009.jpg",
        "x",
        "S1/Seq1/imageFrames/video_0/frame_000001.jpg",
    ]
    fits = write_fits(raw / "fits.npz", 3, imgname=np.array(names))
    records, _ = read(raw, fits="fits.npz")
    assert [record.pose is None for record in records] == [False, True, True, True, False]
    np.testing.assert_array_equal(records[0].pose, fits["pose"][2])
    np.testing.assert_array_equal(records[4].pose, fits["pose"][0])


def fails(raw, message, **changes):
    with pytest.raises(UserError, match=message) as caught:
        read(raw, **changes)
    assert "\n" not in str(caught.value)


def test_fits_of_other_frames_are_refused(train):
    raw, _ = train
    for n_rows, message in ((3, "3 rows, but there are more people"), (7, "7 rows, but 5 people")):
        write_fits(raw / "fits.npz", n_rows)
        fails(raw, rf"fits\.npz: {message}; they belong to other frames", fits="fits.npz")
    write_fits(raw / "fits.npz", 5, shape=np.zeros((5, 9)))
    fails(raw, r"fits\.npz: shape: expected shape \(5, 10\), found \(5, 9\)", fits="fits.npz")
    fails(raw, r"none\.npz: no such file; get SPIN's static fits", fits="none.npz")


def test_a_video_that_is_shorter_than_its_annotation_stops_unless_the_user_allows_it(train, write_video):
    raw, _ = train
    write_video(raw / "S1/Seq2/imageSequence/video_0.avi", [grey(1)] * 9)
    fails(raw, r"video_0\.avi: 9 frames, but 12 are annotated; .*missing_frames, or list 'S1/Seq2'")
    records, stats = read(raw, missing_frames=3)
    assert stats["left_out"]["video_ended"] == 3
    assert len(records) == 5
    assert {record.sequence for record in read(raw, skip=["S1/Seq2"])[0]} == {"S1/Seq1"}


def test_wrong_training_files_are_one_line(train):
    raw, content = train
    path = raw / "S1" / "Seq1" / "annot.mat"
    flat, deep = content["Seq1"]
    data = path.read_bytes()
    for length in (0, 100, 300, 5000):
        path.write_bytes(data[:length])
        fails(raw, r"annot\.mat: (not a readable MATLAB file up to 7\.2|annot.: expected 14 × 1 cells)")
    with h5py.File(path, "w", userblock_size=512) as file:
        file["annot2"] = np.zeros(3)
    head = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
    path.write_bytes(head + path.read_bytes()[128:])
    fails(raw, r"annot\.mat: not a readable MATLAB file up to 7\.2 \(.*v7\.3")
    savemat(path, {"annot2": cells(flat[:8]), "annot3": cells(deep)})
    fails(raw, r"annot\.mat: annot2: expected 14 × 1 cells, found \(8, 1\)")
    savemat(path, {"annot2": cells(flat), "annot3": cells([part[:, :51] for part in deep])})
    fails(raw, r"annot\.mat: annot3\[0\]: expected frames × 84, found 12 × 51")
    savemat(path, {"annot2": cells([part[:7] for part in flat]), "annot3": cells(deep)})
    fails(raw, r"annot\.mat: annot2\[0\]: expected 12 frames, found 7")
    path.unlink()
    fails(raw, r"annot\.mat: no such file; download MPI-INF-3DHP's training set")


def write_annotation(path, rng, n_frames=4, **changes):
    """`annot_data.mat` as HDF5 has it: MATLAB's axes in reverse order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "annot2": rng.uniform(4, 44, (n_frames, 1, 17, 2)),
        "annot3": rng.normal(0, 300, (n_frames, 1, 17, 3)),
        "univ_annot3": rng.normal(0, 300, (n_frames, 1, 17, 3)), "valid_frame": np.ones((n_frames, 1)),
        "activity_annotation": 1.0 + np.arange(n_frames)[:, None] % 7, **changes,
    }  # fmt: skip
    with h5py.File(path, "w", userblock_size=512) as file:
        for key, value in content.items():
            if value is not None:
                file[key] = value
    return content


@pytest.fixture
def tests(tmp_path, write_jpeg):
    raw = tmp_path / "test"
    content = {}
    for number, name in enumerate(("TS1", "TS6")):
        folder = raw / "mpi_inf_3dhp_test_set" / name
        content[name] = write_annotation(folder / "annot_data.mat", np.random.default_rng(number))
        for frame in range(1, 5):
            write_jpeg(folder / "imageSequence" / f"img_{frame:06d}.jpg", 48, 64, frame)
    return raw, content


def read_test(raw, **changes):
    counts = ReadCounts()
    source = MpiInf3dhpTestSource(**{**TEST_RULES, **changes})
    return list(read_mpi_inf_3dhp_test(raw, "test", source, False, counts)), counts.stats()


@pytest.mark.parametrize(("skeleton", "key"), [("universal", "univ_annot3"), ("metric", "annot3")])
def test_test_rows_carry_the_skeleton_that_is_asked_for(tests, skeleton, key):
    raw, content = tests
    records, _ = read_test(raw, skeleton=skeleton)
    assert [(record.sequence, record.frame) for record in records] == [
        (name, frame) for name in ("TS1", "TS6") for frame in range(4)
    ]
    for record in records:
        joints = content[record.sequence][key][record.frame, 0]
        pixels = content[record.sequence]["annot2"][record.frame, 0]
        # Right knee, joint 9 of the test set, is the second of the 24; the head's top, joint 0, stands at 18.
        np.testing.assert_allclose(record.joints_3d[1], [*(joints[9] - joints[14]) / 1000, 1])
        np.testing.assert_allclose(record.keypoints[1], [*pixels[9], 1])
        np.testing.assert_allclose(record.keypoints[18], [*pixels[0], 1])
        assert record.image.endswith(f"{record.sequence}/imageSequence/img_{record.frame + 1:06d}.jpg")
    assert records[2].activity == "Sitting"


def test_frames_that_do_not_count_are_counted(tests):
    raw, content = tests
    pixels = content["TS1"]["annot2"].copy()
    pixels[1, 0, 3, 0] = 64.0
    valid = np.array([[1], [1], [0], [1]])
    path = raw / "mpi_inf_3dhp_test_set" / "TS1" / "annot_data.mat"
    write_annotation(path, np.random.default_rng(0), annot2=pixels, valid_frame=valid)
    records, stats = read_test(raw, sequences=["TS1"])
    assert [record.frame for record in records] == [0, 3]
    assert stats["left_out"] == {"joint_outside": 1, "not_valid": 1}


@pytest.mark.parametrize("activities", [None, np.array([[0.0], [0.0], [8.0], [0.0]])])
def test_a_copy_without_activities_that_are_known_is_read(tests, activities):
    path = tests[0] / "mpi_inf_3dhp_test_set" / "TS1" / "annot_data.mat"
    write_annotation(path, np.random.default_rng(0), activity_annotation=activities)
    records, _ = read_test(tests[0], sequences=["TS1"])
    assert [record.activity for record in records] == [None] * 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"annot2": np.zeros((4, 17, 2))},
            r"annot2: expected frames × 1 × 17 × 2, found 4 × 17 × 2",
        ),
        ({"univ_annot3": None}, "univ_annot3: missing"),
        ({"univ_annot3": np.zeros((3, 1, 17, 3))}, "univ_annot3: expected 4 × 1 × 17 × 3"),
        ({"valid_frame": np.zeros((2, 1))}, "valid_frame: expected 4 × 1, found 2 × 1"),
        ({"activity_annotation": np.ones((3, 1))}, "activity_annotation: expected 4 × 1"),
    ],
)
def test_a_wrong_test_annotation_is_one_line(tests, changes, message):
    path = tests[0] / "mpi_inf_3dhp_test_set" / "TS1" / "annot_data.mat"
    write_annotation(path, np.random.default_rng(0), **changes)
    with pytest.raises(UserError, match=rf"annot_data\.mat: {message}") as caught:
        read_test(tests[0])
    assert "\n" not in str(caught.value)


def test_absent_and_truncated_test_files_leave_no_table(tests, tmp_path):
    raw, _ = tests
    (tmp_path / "params.yaml").write_text(PARAMS)
    out = tmp_path / "out"

    def fails_with(message):
        with pytest.raises(UserError, match=message):
            preprocess.run(
                split="mpi_inf_3dhp_test", source="mpi_inf_3dhp_test", raw=raw, out=out / "t.parquet",
                stats=out / "s.json", params=tmp_path / "params.yaml",
            )  # fmt: skip
        assert list(out.iterdir()) == []

    image = raw / "mpi_inf_3dhp_test_set" / "TS6" / "imageSequence" / "img_000004.jpg"
    image.unlink()
    fails_with(r"img_000004\.jpg: no such image")
    path = raw / "mpi_inf_3dhp_test_set" / "TS6" / "annot_data.mat"
    data = path.read_bytes()
    for length in (0, 600, len(data) // 2):
        path.write_bytes(data[:length])
        fails_with(r"TS6/annot_data\.mat: not a readable MATLAB 7\.3 file")
    savemat(path, {"annot2": np.zeros(3)})
    fails_with(r"TS6/annot_data\.mat: not a readable MATLAB 7\.3 file")
    path.unlink()
    fails_with(r"TS6/annot_data\.mat: no such file; download MPI-INF-3DHP's test set")
