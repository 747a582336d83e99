"""The Human3.6M mirror, read back with cdflib, h5py and OpenCV from the format's description."""

import json
import pickle
from itertools import pairwise
from types import SimpleNamespace

import cdflib
import cv2
import h5py
import numpy as np
import pytest
import torch

from spinloop.body.files import load_body
from spinloop.body.model import BodyModel
from spinloop.datasets.h36m import read_h36m
from spinloop.mirror.job import load_truth
from spinloop.params.datasets import H36mSource
from spinloop.params.loader import load_section
from spinloop.params.mirror import H36mParams
from spinloop.stages import mirror_h36m
from spinloop.tables.records import ReadCounts

CAMERAS = ["54138969", "55011271", "58860488", "60457274"]
# The published preprocessing: which of the 32 joints are used, and where each goes among the 24.
RAW = [11, 6, 7, 8, 1, 2, 3, 12, 24, 14, 15, 17, 18, 19, 25, 26, 27]
PLACES = [14, 3, 4, 5, 2, 1, 0, 16, 12, 17, 18, 9, 10, 11, 8, 7, 6]
# Rows of the body's H36M regressor in the order of RAW.
REGRESSED = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]
SMALL = {
    "train_subjects": ["S1"], "test_subjects": ["S9", "S11"], "train_actions": 1, "test_actions": 1,
    "n_frames": 11, "mosh_missing": 0.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def make_h36m(repository, small_params, exact_detector, body_files, mixture_file, tmp_path_factory):
    def make() -> SimpleNamespace:
        root = tmp_path_factory.mktemp("h36m")
        lab = load_section(repository / "params.yaml", "mirror_h36m", H36mParams).lab.model_dump()
        changes = {**SMALL, "lab": {**lab, "side_px": 96}, "detector": exact_detector}
        params = small_params(root / "params.yaml", "mirror_h36m", changes)
        truth = {f"truth_{name}": root / f"{name}.parquet" for name in ("train", "p1", "p2")}
        mirror_h36m.run(
            body=body_files["neutral"], mixture=mixture_file, out=root / "h36m",
            openpose=root / "openpose", params=params, **truth,
        )  # fmt: skip
        return SimpleNamespace(root=root / "h36m", openpose=root / "openpose", params=params, **truth)

    return make


@pytest.fixture(scope="module")
def h36m(make_h36m) -> SimpleNamespace:
    return make_h36m()


def read(h36m, split, **changes):
    source = load_section(h36m.params, f"sources.{split}", H36mSource)
    known = {"subjects": ["S1"] if split == "h36m_train" else ["S9", "S11"]}
    source = source.model_copy(update={**known, **changes})
    return list(read_h36m(h36m.root, split, source, changes.pop("is_official", False), ReadCounts()))


def split_path(record):
    """Subject, `action.camera` and the 1-based number of a record's picture."""
    subject, folder, video, name = record.image.split("/")
    assert folder == "Videos"
    return subject, video.removesuffix(".mp4"), int(name.removesuffix(".jpg"))


def test_the_tree_is_that_of_the_original(h36m):
    for subject, n_actions in (("S1", 1), ("S9", 1), ("S11", 1)):
        folders = {
            "MyPoseFeatures/D3_Positions_mono": ".cdf", "MyPoseFeatures/D2_Positions": ".cdf",
            "MySegmentsMat/ground_truth_bb": ".mat", "Videos": ".mp4",
        }  # fmt: skip
        stems = []
        for folder, suffix in folders.items():
            files = sorted((h36m.root / subject / folder).iterdir())
            assert {path.suffix for path in files} == {suffix}
            stems.append([path.stem for path in files])
        assert all(one == stems[0] for one in stems)
        assert len(stems[0]) == 4 * n_actions
        assert {stem.rpartition(".")[2] for stem in stems[0]} == set(CAMERAS)


def test_every_row_is_what_a_plain_reading_of_the_files_gives(h36m):
    records = read(h36m, "h36m_p1")
    assert len(records) == 2 * 4 * 3
    for record in records:
        subject, stem, number = split_path(record)
        features = h36m.root / subject / "MyPoseFeatures"
        frame = number - 1
        assert frame == record.frame
        assert frame % 5 == 0
        mono = cdflib.CDF(features / "D3_Positions_mono" / f"{stem}.cdf")["Pose"]
        flat = cdflib.CDF(features / "D2_Positions" / f"{stem}.cdf")["Pose"]
        assert (mono.shape, flat.shape) == ((1, 11, 96), (1, 11, 64))
        joints = mono[0, frame].astype(float).reshape(32, 3)[RAW] / 1000
        np.testing.assert_allclose(record.joints_3d[PLACES, :3], joints - joints[0], atol=1e-6)
        np.testing.assert_allclose(record.keypoints[PLACES, :2], flat[0, frame].reshape(32, 2)[RAW])
        for array in (record.joints_3d, record.keypoints):
            assert set(np.flatnonzero(array[:, -1] == 1)) == set(PLACES)
        with h5py.File(h36m.root / subject / "MySegmentsMat/ground_truth_bb" / f"{stem}.mat") as file:
            mask = file[file["Masks"][frame, 0]][()].T
        ys, xs = np.nonzero(mask == 1)
        low, high = np.array([xs.min(), ys.min()]), np.array([xs.max() + 1, ys.max() + 1])
        np.testing.assert_allclose(record.center, (low + high) / 2)
        assert record.scale == pytest.approx(0.9 * (high - low).max() / 200)
        assert record.sequence == f"{subject}/{stem.rpartition('.')[0]}"
        assert record.activity == record.sequence.split("/")[1].removesuffix(" 1")


@pytest.mark.parametrize(("split", "table"), [("h36m_train", "truth_train"), ("h36m_p1", "truth_p1")])
def test_rows_equal_the_truth_that_made_them(h36m, body_files, split, table):
    rows = {row.id: row for row in load_truth(getattr(h36m, table)).itertuples()}
    records = read(h36m, split)
    assert [record.id for record in records] != []
    assert {record.id for record in records} == set(rows)
    body = BodyModel(load_body(body_files["neutral"]), torch.float64)
    for record in records:
        row = rows[record.id]
        pose, betas = (torch.tensor(part, dtype=torch.float64)[None] for part in (row.pose, row.betas))
        joints = body.regress_h36m(body.vertices(pose, betas))[0].numpy()[REGRESSED] + row.translation
        focal, *center = row.camera
        pixels = focal * joints[:, :2] / joints[:, 2:] + center
        assert np.abs(record.keypoints[PLACES, :2] - pixels).max() < 0.5
        assert np.abs(record.joints_3d[PLACES, :3] - (joints - joints[0])).max() < 1e-3


def test_openpose_detects_the_person_in_every_used_training_frame(h36m, body_files):
    rows = {row.id: row for row in load_truth(h36m.truth_train).itertuples()}
    body = BodyModel(load_body(body_files["neutral"]), torch.float64)
    records = read(h36m, "h36m_train")
    files = {record.image.replace(".jpg", "_keypoints.json"): record for record in records}
    found = {
        path.relative_to(h36m.openpose).as_posix() for path in h36m.openpose.rglob("*.*") if path.is_file()
    }
    assert found == set(files)
    for file, record in files.items():
        row = rows[record.id]
        (person,) = json.loads((h36m.openpose / file).read_text())["people"]
        detected = np.array(person["pose_keypoints_2d"]).reshape(25, 3)
        pose, betas = (torch.tensor(part, dtype=torch.float64)[None] for part in (row.pose, row.betas))
        joints = body(pose, betas).joints49[0, :25].numpy() + row.translation
        focal, *center = row.camera
        pixels = focal * joints[:, :2] / joints[:, 2:] + center
        inside = ((pixels >= 0) & (pixels < 96)).all(1)
        np.testing.assert_array_equal(detected[:, 2] > 0, inside)
        assert (detected[:, 2] > 0.6).any()
        np.testing.assert_allclose(detected[inside, :2], pixels[inside], atol=1e-2)


def test_protocol_2_is_the_frontal_camera_of_protocol_1(h36m):
    frontal = read(h36m, "h36m_p2")
    all_cameras = read(h36m, "h36m_p1")
    wanted = [record.image for record in all_cameras if ".60457274." in record.image]
    assert [record.image for record in frontal] == wanted
    assert [row.id for row in load_truth(h36m.truth_p2).itertuples()] == [record.id for record in frontal]


def test_mosh_gives_the_bodies_that_were_rendered(h36m, body_files):
    rows = {row.id: row for row in load_truth(h36m.truth_train).itertuples()}
    body = BodyModel(load_body(body_files["neutral"]), torch.float64)
    records = read(h36m, "h36m_train")
    for record in records:
        row = rows[record.id]
        np.testing.assert_allclose(record.betas, row.betas, atol=1e-6)
        seen, wanted = (
            body.vertices(torch.tensor(pose, dtype=torch.float64)[None], torch.zeros(1, 10).double())
            for pose in (record.pose, row.pose)
        )
        assert float((seen - wanted).abs().max()) < 1e-4
        assert record.gender == "neutral"
    assert all(record.pose is None for record in read(h36m, "h36m_p1"))


def test_mosh_files_hold_every_fifth_frame_upside_down(h36m):
    path = next((h36m.root / "mosh" / "S1").glob("*_cam3_aligned.pkl"))
    content = pickle.loads(path.read_bytes(), encoding="latin1")
    assert content["new_poses"].shape == (3, 72)
    assert content["betas"].shape == (10,)


def frames_of(path):
    capture = cv2.VideoCapture(str(path))
    frames = []
    while True:
        is_read, image = capture.read()
        if not is_read:
            return frames
        frames.append(image)


def test_the_videos_show_every_frame_and_the_next_one_shows_another_moment(h36m):
    for path in sorted((h36m.root / "S9" / "Videos").glob("*.mp4")):
        frames = frames_of(path)
        assert len(frames) == 11
        assert {frame.shape for frame in frames} == {(96, 96, 3)}
        changes = [np.abs(a.astype(int) - b).mean() for a, b in pairwise(frames)]
        assert set(np.argsort(changes)[-2:]) == {0, 5}


def test_the_person_is_where_the_box_is(h36m):
    """What moves between two steps lies in the boxes of both."""
    records = {record.image: record for record in read(h36m, "h36m_p2")}
    for record in records.values():
        subject, stem, number = split_path(record)
        frames = frames_of(h36m.root / subject / "Videos" / f"{stem}.mp4")
        if number + 5 > len(frames):
            continue
        after = records[record.image.replace(f"{number:06d}", f"{number + 5:06d}")]
        change = np.abs(frames[number - 1].astype(int) - frames[number + 4]).max(2) > 60
        xs = np.nonzero(change)[1]
        assert len(xs) > 20
        half = 200 / 0.9 * np.array([record.scale, after.scale]) / 2
        low = np.minimum(record.center - half[0], after.center - half[1])
        high = np.maximum(record.center + half[0], after.center + half[1])
        inside = (xs > low[0]) & (xs < high[0])
        assert inside.mean() > 0.95


def test_two_runs_give_the_same_bytes(h36m, make_h36m):
    other = make_h36m()
    files = sorted(path.relative_to(h36m.root) for path in h36m.root.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(other.root) for path in other.root.rglob("*") if path.is_file())
    differing = [
        str(path) for path in files if (h36m.root / path).read_bytes() != (other.root / path).read_bytes()
    ]
    assert differing == []
    assert h36m.truth_p1.read_bytes() == other.truth_p1.read_bytes()


def test_mat_files_have_matlabs_own_head(h36m):
    path = next((h36m.root / "S1" / "MySegmentsMat" / "ground_truth_bb").glob("*.mat"))
    head = path.read_bytes()[:128]
    assert head.startswith(b"MATLAB 7.3 MAT-file")
    assert head[124:] == b"\x00\x02IM"
