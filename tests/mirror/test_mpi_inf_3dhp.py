"""The MPI-INF-3DHP mirror, read back with scipy, h5py and OpenCV from the format's description."""

import json
from types import SimpleNamespace

import cv2
import h5py
import numpy as np
import pytest
import torch
from scipy.io import loadmat

from spinloop.body.files import load_body
from spinloop.body.model import BodyModel
from spinloop.datasets.mpi_inf_3dhp import read_mpi_inf_3dhp
from spinloop.datasets.mpi_inf_3dhp_test import read_mpi_inf_3dhp_test
from spinloop.mirror.job import load_truth
from spinloop.params.datasets import MpiInf3dhpSource, MpiInf3dhpTestSource
from spinloop.params.loader import load_section
from spinloop.params.mirror import MpiInf3dhpParams
from spinloop.stages import mirror_mpi_inf_3dhp
from spinloop.tables.records import ReadCounts

# The published preprocessing: which joints are used, and where each goes among the 24.
PLACES = [14, 3, 4, 5, 2, 1, 0, 16, 12, 17, 18, 9, 10, 11, 8, 7, 6]
TRAIN_RAW = [4, 18, 19, 20, 23, 24, 25, 3, 5, 6, 7, 9, 10, 11, 14, 15, 16]
TEST_RAW = [14, 11, 12, 13, 8, 9, 10, 15, 1, 16, 0, 5, 6, 7, 2, 3, 4]
VIEWS = [0, 4]


@pytest.fixture(scope="module")
def mpi(
    repository, small_params, exact_detector, body_files, mixture_file, tmp_path_factory
) -> SimpleNamespace:
    """One subject, two views near enough that arms leave the picture; six test sequences."""
    root = tmp_path_factory.mktemp("mpi")
    full = load_section(repository / "params.yaml", "mirror_mpi_inf_3dhp", MpiInf3dhpParams).model_dump()
    lab = {**full["train"]["lab"], "side_px": 96, "distance_m": {"low": 1.35, "high": 1.6}}
    train = {**full["train"], "subjects": ["S1"], "views": VIEWS, "n_frames": 31, "lab": lab}
    train |= {"detector": exact_detector}
    test = {**full["test"], "n_frames": 5, "not_valid": 0.3}
    params = small_params(root / "params.yaml", "mirror_mpi_inf_3dhp", {"train": train, "test": test})
    truth = {f"truth_{name}": root / f"{name}.parquet" for name in ("train", "test")}
    mirror_mpi_inf_3dhp.run(
        body=body_files["neutral"], mixture=mixture_file, out=root / "mpi", openpose=root / "openpose",
        params=params, **truth,
    )  # fmt: skip
    return SimpleNamespace(root=root / "mpi", openpose=root / "openpose", params=params, **truth)


def read_train(mpi, **changes):
    source = load_section(mpi.params, "sources.mpi_inf_3dhp_train", MpiInf3dhpSource)
    source = source.model_copy(update={"subjects": ["S1"], "views": VIEWS, **changes})
    counts = ReadCounts()
    return list(read_mpi_inf_3dhp(mpi.root, "mpi_inf_3dhp_train", source, False, counts)), counts.stats()


def read_test(mpi, **changes):
    source = load_section(mpi.params, "sources.mpi_inf_3dhp_test", MpiInf3dhpTestSource)
    source = source.model_copy(update=changes)
    return list(read_mpi_inf_3dhp_test(mpi.root, "mpi_inf_3dhp_test", source, False, ReadCounts()))


@pytest.fixture(scope="module")
def body(body_files) -> BodyModel:
    return BodyModel(load_body(body_files["neutral"]), torch.float64)


def true_joints(row, body):
    """Joints of the true body in camera axes, in the published order, and their pixels."""
    pose, betas = (torch.tensor(part, dtype=torch.float64)[None] for part in (row.pose, row.betas))
    joints = body.regress_h36m(body.vertices(pose, betas))[0].numpy() + row.translation
    focal, *center = row.camera
    return joints, focal * joints[:, :2] / joints[:, 2:] + center


def by_description(mpi):
    """Every tenth frame with all joints in the picture, as a loop over the files; and how many have not."""
    counter, n_outside, rows = 0, 0, []
    for sequence in ("Seq1", "Seq2"):
        content = loadmat(mpi.root / "S1" / sequence / "annot.mat")
        assert content["annot2"].shape == content["annot3"].shape == (14, 1)
        for view in VIEWS:
            flat, deep = content["annot2"][view, 0], content["annot3"][view, 0]
            assert (flat.shape, deep.shape) == ((31, 56), (31, 84))
            for frame in range(31):
                pixels = flat[frame].reshape(28, 2)[TRAIN_RAW]
                if (pixels < 0).any() or (pixels >= 96).any():
                    n_outside += 1
                    continue
                counter += 1
                if counter % 10 == 1:
                    joints = deep[frame].reshape(28, 3)[TRAIN_RAW] / 1000
                    name = f"S1/{sequence}/imageSequence/video_{view}.avi/{frame + 1:06d}.jpg"
                    rows.append((name, pixels, joints - joints[0]))
    return rows, n_outside


def test_training_rows_are_what_a_plain_reading_of_the_files_gives(mpi):
    records, stats = read_train(mpi)
    rows, n_outside = by_description(mpi)
    assert n_outside > 0
    assert stats["left_out"]["joint_outside"] == n_outside
    assert [record.image for record in records] == [name for name, _, _ in rows]
    for record, (_, pixels, joints) in zip(records, rows, strict=True):
        np.testing.assert_allclose(record.keypoints[PLACES, :2], pixels)
        np.testing.assert_allclose(record.joints_3d[PLACES, :3], joints, atol=1e-12)
        for array in (record.joints_3d, record.keypoints):
            assert set(np.flatnonzero(array[:, -1] == 1)) == set(PLACES)
        assert record.scale == pytest.approx(1.2 * np.ptp(pixels, axis=0).max() / 200)


def test_training_rows_equal_the_truth_that_made_them(mpi, body):
    rows = list(load_truth(mpi.truth_train).itertuples())
    records, _ = read_train(mpi)
    assert [record.id for record in records] == [row.id for row in rows]
    for record, row in zip(records, rows, strict=True):
        joints, pixels = true_joints(row, body)
        assert np.abs(record.keypoints[PLACES, :2] - pixels).max() < 0.5
        assert np.abs(record.joints_3d[PLACES, :3] - (joints - joints[0])).max() < 1e-3


def test_openpose_detects_the_person_in_every_used_training_frame(mpi, body):
    rows = list(load_truth(mpi.truth_train).itertuples())
    records, _ = read_train(mpi)
    files = [record.image.replace(".jpg", "_keypoints.json") for record in records]
    found = {
        path.relative_to(mpi.openpose).as_posix() for path in mpi.openpose.rglob("*.*") if path.is_file()
    }
    assert found == set(files)
    for file, row in zip(files, rows, strict=True):
        (person,) = json.loads((mpi.openpose / file).read_text())["people"]
        detected = np.array(person["pose_keypoints_2d"]).reshape(25, 3)
        pose, betas = (torch.tensor(part, dtype=torch.float64)[None] for part in (row.pose, row.betas))
        joints = body(pose, betas).joints49[0, :25].numpy() + row.translation
        focal, *center = row.camera
        pixels = focal * joints[:, :2] / joints[:, 2:] + center
        inside = ((pixels >= 0) & (pixels < 96)).all(1)
        np.testing.assert_array_equal(detected[:, 2] > 0, inside)
        assert (detected[:, 2] > 0.6).any()
        np.testing.assert_allclose(detected[inside, :2], pixels[inside], atol=1e-2)


def test_the_fits_are_the_bodies_that_were_rendered_where_there_are_any(mpi):
    rows = list(load_truth(mpi.truth_train).itertuples())
    with np.load(mpi.root / "mpi-inf-3dhp_mview_fits.npz") as fits:
        has = fits["has_smpl"] > 0
        assert fits["pose"].shape == (len(rows), 72)
    records, stats = read_train(mpi)
    assert 0 < has.sum() < len(rows)
    assert stats["noted"]["no_smpl_parameters"] == (~has).sum()
    for record, row, is_fitted in zip(records, rows, has, strict=True):
        assert (record.pose is not None) == is_fitted
        if is_fitted:
            np.testing.assert_allclose(record.pose, row.pose, atol=1e-6)
            np.testing.assert_allclose(record.betas, row.betas, atol=1e-6)


def test_the_calibration_projects_the_3d_joints_onto_the_2d_joints(mpi):
    lines = (mpi.root / "S1" / "Seq1" / "camera.calibration").read_text().splitlines()
    assert len(lines) == 1 + 14 * 7
    content = loadmat(mpi.root / "S1" / "Seq1" / "annot.mat")
    for view in range(14):
        inner = np.array(lines[view * 7 + 5].split()[1:], dtype=float).reshape(4, 4)
        outer = np.array(lines[view * 7 + 6].split()[1:], dtype=float).reshape(4, 4)
        np.testing.assert_allclose(outer[:3, :3] @ outer[:3, :3].T, np.eye(3), atol=1e-6)
        joints = content["annot3"][view, 0].reshape(-1, 3)
        seen = joints @ inner[:3, :3].T
        flat = content["annot2"][view, 0].reshape(-1, 2)
        np.testing.assert_allclose(seen[:, :2] / seen[:, 2:], flat, atol=1e-4)


def test_cameras_of_one_moment_see_one_body(mpi):
    lines = (mpi.root / "S1" / "Seq1" / "camera.calibration").read_text().splitlines()
    content = loadmat(mpi.root / "S1" / "Seq1" / "annot.mat")
    worlds = []
    for view in range(14):
        outer = np.array(lines[view * 7 + 6].split()[1:], dtype=float).reshape(4, 4)
        joints = content["annot3"][view, 0].reshape(-1, 3)
        worlds.append((joints - outer[:3, 3]) @ outer[:3, :3])
    for world in worlds:
        np.testing.assert_allclose(world, worlds[0], atol=0.05)


def test_videos_have_the_annotated_frames(mpi):
    for view in VIEWS:
        capture = cv2.VideoCapture(str(mpi.root / "S1" / "Seq2" / "imageSequence" / f"video_{view}.avi"))
        shapes = []
        while True:
            is_read, image = capture.read()
            if not is_read:
                break
            shapes.append(image.shape)
        assert shapes == [(96, 96, 3)] * 31


def test_test_rows_are_what_a_plain_reading_of_the_files_gives(mpi):
    records = read_test(mpi)
    expected = []
    for sequence in range(1, 7):
        folder = mpi.root / "mpi_inf_3dhp_test_set" / f"TS{sequence}"
        with h5py.File(folder / "annot_data.mat") as file:
            flat, deep = file["annot2"][()], file["univ_annot3"][()]
            valid, activity = file["valid_frame"][()], file["activity_annotation"][()]
        assert (flat.shape, deep.shape) == ((5, 1, 17, 2), (5, 1, 17, 3))
        assert valid.shape == activity.shape == (5, 1)
        for frame in range(5):
            image = cv2.imread(str(folder / "imageSequence" / f"img_{frame + 1:06d}.jpg"))
            assert image.shape == ((160, 208, 3) if sequence > 4 else (160, 160, 3))
            pixels = flat[frame, 0][TEST_RAW]
            inside = (pixels >= 0).all() and (pixels < [image.shape[1], 160]).all()
            if valid[frame, 0] == 1 and inside:
                joints = deep[frame, 0][TEST_RAW] / 1000
                expected.append((sequence, frame, pixels, joints - joints[0], int(activity[frame, 0])))
    assert 0 < len(expected) < 30
    assert len(records) == len(expected)
    names = [None, "Standing/Walking", "Exercising", "Sitting", "Reaching/Crouching", "On The Floor"]
    names += ["Sports", "Miscellaneous"]
    for record, (sequence, frame, pixels, joints, activity) in zip(records, expected, strict=True):
        assert (record.sequence, record.frame) == (f"TS{sequence}", frame)
        assert record.activity == names[activity]
        np.testing.assert_allclose(record.keypoints[PLACES, :2], pixels)
        np.testing.assert_allclose(record.joints_3d[PLACES, :3], joints, atol=1e-12)


def test_test_rows_equal_the_truth_that_made_them(mpi, body):
    rows = list(load_truth(mpi.truth_test).itertuples())
    universal, metric = read_test(mpi), read_test(mpi, skeleton="metric")
    assert [record.id for record in universal] == [row.id for row in rows]
    for record, own, row in zip(universal, metric, rows, strict=True):
        joints, pixels = true_joints(row, body)
        assert np.abs(record.keypoints[PLACES, :2] - pixels).max() < 0.5
        assert np.abs(own.joints_3d[PLACES, :3] - (joints - joints[0])).max() < 1e-3
        factor = universal_size(row, body)
        assert np.abs(record.joints_3d[PLACES, :3] - factor * (joints - joints[0])).max() < 1e-3


def universal_size(row, body):
    """0.92 m over the person's own length from knee to hip and from pelvis to neck, at rest."""
    betas = torch.tensor(row.betas, dtype=torch.float64)[None]
    rest = body.regress_h36m(body.vertices(torch.zeros(1, 72).double(), betas))[0].numpy()
    pelvis, hip, knee, neck = rest[[0, 1, 2, 8]]
    return 0.92 / (np.linalg.norm(hip - knee) + np.linalg.norm(neck - pelvis))
