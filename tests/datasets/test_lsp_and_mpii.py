"""LSP, LSPET and MPII: trees written with scipy and h5py from the format descriptions."""

import cv2
import h5py
import numpy as np
import pytest
from scipy.io import savemat

from spinloop.datasets.lsp import read_lsp, read_lspet
from spinloop.datasets.mpii import read_mpii
from spinloop.errors import UserError
from spinloop.params.datasets import LspetSource, LspSource, MpiiSource
from spinloop.tables.records import ReadCounts

RULES = {"raw": "", "openpose": None, "box_factor": 1.2, "min_limb_joints": 6}
# MPII's 16 in the 24, as the published preprocessing lists them.
MPII_PLACES = [0, 1, 2, 3, 4, 5, 14, 15, 12, 13, 6, 7, 8, 9, 10, 11]


def _read(reader, raw, source, is_official=False):
    counts = ReadCounts()
    return list(reader(raw, "split", source, is_official, counts)), counts.stats()["left_out"]


@pytest.fixture(scope="module")
def lsp(tmp_path_factory, write_jpeg):
    raw = tmp_path_factory.mktemp("lsp")
    joints = np.random.default_rng(0).uniform(5, 60, (3, 14, 2000))
    joints[2] = np.random.default_rng(1).integers(0, 2, (14, 2000))
    savemat(raw / "joints.mat", {"joints": joints})
    write_jpeg(raw / "images" / "im0001.jpg", 64, 96)
    for number in range(2, 1001):
        (raw / "images" / f"im{number:04d}.jpg").hardlink_to(raw / "images" / "im0001.jpg")
    return raw, joints


@pytest.fixture
def lspet(tmp_path, write_jpeg):
    joints = np.random.default_rng(2).uniform(5, 60, (14, 3, 4))
    joints[:, 2] = 1
    joints[0, :, 1] = [-300.0, 4.0, 0.0]
    joints[:12, 2, 3] = 0
    savemat(tmp_path / "joints.mat", {"joints": joints})
    for name in ("im00002", "im00010", "im00001", "im00003"):
        write_jpeg(tmp_path / f"{name}.png", 64, 96)
    return tmp_path, joints


@pytest.fixture
def mpii(tmp_path, write_jpeg):
    joints = np.random.default_rng(3).uniform(5, 60, (4, 16, 2))
    joints[1, 9] = 0
    joints[2, :8] = 0
    joints[2, 10:14] = -1
    content = {
        "imgname": np.array([b"b.jpg", b"a.jpg", b"a.jpg", b"b.jpg"]), "part": joints,
        "center": np.random.default_rng(4).uniform(20, 40, (4, 2)), "scale": np.array([0.3, 0.4, 0.5, 0.6]),
    }  # fmt: skip
    with h5py.File(tmp_path / "train.h5", "w") as file:
        for key, value in content.items():
            file[key] = value
    for name in "ab":
        write_jpeg(tmp_path / "images" / f"{name}.jpg", 64, 96)
    return tmp_path, content


def test_lsp_is_its_first_thousand_with_every_joint(lsp):
    raw, joints = lsp
    records, left_out = _read(read_lsp, raw, LspSource(reader="lsp", subset="train", masks=None, **RULES))
    assert len(records) == 1000
    assert left_out == {}
    for number in (0, 1, 500, 999):
        record = records[number]
        assert record.id == f"split/images/im{number + 1:04d}.jpg#0"
        place = joints[:2, :, number].T
        np.testing.assert_allclose(record.keypoints[:14, :2], place)
        assert record.keypoints[:, 2].tolist() == [1.0] * 14 + [0.0] * 10
        np.testing.assert_allclose(record.center, (place.min(0) + place.max(0)) / 2)
        assert record.scale == pytest.approx(1.2 * np.ptp(place, axis=0).max() / 200)


@pytest.fixture
def lsp_test(lsp, tmp_path):
    """LSP's test half cut after image 1003, with UPi-S1h's masks."""
    joints = lsp[1][:, :, :1003]
    savemat(tmp_path / "joints.mat", {"joints": joints})
    (tmp_path / "images").mkdir()
    masks = tmp_path / "up" / "data" / "lsp"
    masks.mkdir(parents=True)
    for number in (1001, 1002, 1003):
        (tmp_path / "images" / f"im{number}.jpg").hardlink_to(lsp[0] / "images" / "im0001.jpg")
        for kind in ("segmentation", "part_segmentation"):
            cv2.imwrite(str(masks / f"im{number}_{kind}.png"), np.zeros((64, 96), np.uint8))
    return tmp_path, joints


LSP_TEST = LspSource(reader="lsp", subset="test", masks="up", **RULES)


def test_lsps_test_half_begins_at_1001_and_names_its_masks(lsp_test):
    raw, joints = lsp_test
    records, left_out = _read(read_lsp, raw, LSP_TEST)
    assert left_out == {}
    assert [record.image for record in records] == [f"images/im{n}.jpg" for n in (1001, 1002, 1003)]
    for record, column in zip(records, (1000, 1001, 1002), strict=True):
        np.testing.assert_allclose(record.keypoints[:14, :2], joints[:2, :, column].T)
        stem = f"up/data/lsp/im{column + 1}"
        assert (record.mask, record.parts) == (f"{stem}_segmentation.png", f"{stem}_part_segmentation.png")
    without, _ = _read(read_lsp, raw, LSP_TEST.model_copy(update={"masks": None}))
    assert {(record.mask, record.parts) for record in without} == {(None, None)}


def test_a_mask_of_another_size_is_counted_and_an_absent_one_stops(lsp_test):
    masks = lsp_test[0] / "up" / "data" / "lsp"
    cv2.imwrite(str(masks / "im1001_segmentation.png"), np.zeros((64, 95), np.uint8))
    (masks / "im1003_part_segmentation.png").write_bytes(b"")
    records, left_out = _read(read_lsp, lsp_test[0], LSP_TEST)
    assert ([record.image for record in records], left_out) == (["images/im1002.jpg"], {"mask_differs": 2})
    (masks / "im1002_segmentation.png").unlink()
    with pytest.raises(UserError, match=r"im1002_segmentation\.png: no such file; unpack or link UPi-S1h"):
        _read(read_lsp, lsp_test[0], LSP_TEST)


def test_joints_of_the_training_half_alone_have_no_test_half(lsp_test):
    raw, joints = lsp_test
    savemat(raw / "joints.mat", {"joints": joints[:, :, :1000]})
    with pytest.raises(
        UserError, match=r"joints\.mat: joints: test needs more than 1000 people .* found 1000"
    ):
        _read(read_lsp, raw, LSP_TEST)


def test_lspet_pairs_by_sorted_name_and_leaves_out_joints_without_a_place(lspet):
    raw, joints = lspet
    records, left_out = _read(read_lspet, raw, LspetSource(reader="lspet", **RULES))
    assert [record.image for record in records] == ["im00001.png", "im00002.png", "im00003.png"]
    assert left_out == {"too_few_limb_joints": 1}
    np.testing.assert_allclose(records[0].keypoints[:14, :2], joints[:, :2, 0])
    assert records[1].keypoints[0].tolist() == [0, 0, 0]
    np.testing.assert_allclose(records[1].keypoints[1:14, :2], joints[1:, :2, 1])


def test_lspet_as_published_takes_every_joint_wherever_it_is(lspet):
    records, left_out = _read(read_lspet, lspet[0], LspetSource(reader="lspet", **RULES), is_official=True)
    assert len(records) == 4
    assert left_out == {}
    assert records[1].keypoints[0].tolist() == [-300.0, 4.0, 1.0]


def test_mpii_keeps_the_files_box_and_the_joints_that_are_there(mpii):
    raw, content = mpii
    records, left_out = _read(read_mpii, raw, MpiiSource(reader="mpii", **RULES))
    assert [record.person for record in records] == [1, 0, 3]
    assert left_out == {"too_few_limb_joints": 1}
    for record in records:
        np.testing.assert_array_equal(record.center, content["center"][record.person])
        assert record.scale == content["scale"][record.person]
        expected = np.zeros((24, 3))
        for joint, place in enumerate(MPII_PLACES):
            x, y = content["part"][record.person, joint]
            expected[place] = [x, y, 1] if x > 0 and y > 0 else 0
        np.testing.assert_array_equal(record.keypoints, expected)


def test_mpii_as_published_asks_for_all_joints_and_keeps_the_order(mpii):
    records, left_out = _read(read_mpii, mpii[0], MpiiSource(reader="mpii", **RULES), is_official=True)
    assert [record.person for record in records] == [0, 3]
    assert left_out == {"joint_missing": 2}


@pytest.mark.parametrize("place", ["images/im{:05d}.jpg", "im{:05d}.jpg", "images/im{:05d}.png", "im{}.png"])
def test_ordinary_lspet_with_its_images_in_any_place_is_read(tmp_path, write_jpeg, place):
    joints = np.random.default_rng(2).uniform(5, 60, (14, 3, 12))
    joints[:, 2] = 1
    savemat(tmp_path / "joints.mat", {"joints": joints})
    for number in range(1, 13):
        write_jpeg(tmp_path / place.format(number), 64, 96)
    (tmp_path / "README.png").write_bytes(b"")
    if place.startswith("im{"):
        (tmp_path / "README.png").unlink()
    records, left_out = _read(read_lspet, tmp_path, LspetSource(reader="lspet", **RULES))
    assert left_out == {}
    assert [record.image for record in records] == [place.format(number) for number in range(1, 13)]
    for number, record in enumerate(records):
        np.testing.assert_allclose(record.keypoints[:14, :2], joints[:, :2, number])


@pytest.fixture
def mpii_mat(mpii):
    """MPII's own structure of the people of `mpii`: b, a, a, b; a test image; and people half annotated."""
    raw, content = mpii
    (raw / "train.h5").unlink()
    boxes = [
        (x, y - 15 * s / 1.25, s / 1.25)
        for (x, y), s in zip(content["center"], content["scale"], strict=True)
    ]

    def person(number):
        (x, y, scale), part = boxes[number], content["part"][number]
        points = [
            {"x": one[0], "y": one[1], "id": float(joint), "is_visible": joint % 2}
            for joint, one in enumerate(part)
            if one.min() > 0
        ]
        point = np.array(points, dtype=object) if len(points) > 1 else points
        return {"x1": 1.0, "scale": scale, "objpos": {"x": x, "y": y}, "annopoints": {"point": point}}

    people = {
        "b.jpg": [person(0), person(3)], "a.jpg": [person(1), person(2), {"x1": 2.0, "scale": 1.0}],
        "test.jpg": [{"scale": 1.0, "objpos": {"x": 1.0, "y": 2.0}}], "none.jpg": [],
    }  # fmt: skip
    annolist = np.array(
        [
            {"image": {"name": name}, "annorect": np.array(ones, dtype=object) if len(ones) != 1 else ones[0]}
            for name, ones in people.items()
        ],
        dtype=object,
    )
    release = {"annolist": annolist, "img_train": np.array([1, 1, 0, 1]), "version": "12"}
    savemat(raw / "mpii_human_pose_v1_u12_1.mat", {"RELEASE": release})
    return raw, content


def test_mpiis_own_file_gives_the_same_people_and_boxes(mpii_mat):
    raw, content = mpii_mat
    records, left_out = _read(read_mpii, raw, MpiiSource(reader="mpii", **RULES))
    assert left_out == {"too_few_limb_joints": 1, "no_visible_joint": 1}
    assert [record.id for record in records] == [
        f"split/images/{n}" for n in ("a.jpg#2", "b.jpg#0", "b.jpg#1")
    ]
    for record, row in zip(records, (1, 0, 3), strict=True):
        np.testing.assert_allclose(record.center, content["center"][row])
        assert record.scale == pytest.approx(content["scale"][row])
        place = [MPII_PLACES[joint] for joint in range(16) if content["part"][row, joint].min() > 0]
        np.testing.assert_allclose(
            record.keypoints[place, :2], [one for one in content["part"][row] if one.min() > 0]
        )
    with pytest.raises(UserError, match=r"\.mat: --compat official needs train\.h5"):
        _read(read_mpii, raw, MpiiSource(reader="mpii", **RULES), is_official=True)


def test_a_file_of_mpii_without_its_people_is_named(mpii_mat):
    path = mpii_mat[0] / "mpii_human_pose_v1_u12_1.mat"
    for release, message in (
        ({"annolist": 0.0, "img_train": 1.0}, r"RELEASE\.annolist: 0 images and 1 marks"),
        ({"annolist": {"image": {"name": "a.jpg"}}, "img_train": 0.0}, "nobody in the training images"),
        (np.zeros(3), "RELEASE: structure missing"),
    ):
        savemat(path, {"RELEASE": release})
        with pytest.raises(UserError, match=message):
            _read(read_mpii, mpii_mat[0], MpiiSource(reader="mpii", **RULES))


def test_wrong_files_are_named(lspet, mpii):
    raw = lspet[0]
    (raw / "im00010.png").unlink()
    with pytest.raises(UserError, match=r"4 people in joints\.mat, but 3 \*\.png, 2 images/"):
        _read(read_lspet, raw, LspetSource(reader="lspet", **RULES))
    with pytest.raises(UserError, match=r"joints\.mat: joints: expected 3 × 14 × people, found 14 × 3 × 4"):
        _read(read_lsp, raw, LspSource(reader="lsp", subset="train", masks=None, **RULES))
    data = (raw / "joints.mat").read_bytes()
    for length in (0, 100, 300):
        (raw / "joints.mat").write_bytes(data[:length])
        with pytest.raises(UserError, match=r"joints\.mat: (not a readable MATLAB file|joints: array)"):
            _read(read_lspet, raw, LspetSource(reader="lspet", **RULES))
    (raw / "train.h5").write_bytes(b"text")
    with pytest.raises(UserError, match=r"train\.h5: not a readable train\.h5"):
        _read(read_mpii, raw, MpiiSource(reader="mpii", **RULES))
    (raw / "train.h5").unlink()
    with pytest.raises(UserError, match=r"train\.h5: no such file"):
        _read(read_mpii, raw, MpiiSource(reader="mpii", **RULES))


def test_an_absent_image_stops_with_the_cure(mpii):
    (mpii[0] / "images" / "a.jpg").unlink()
    with pytest.raises(UserError, match=r"images/a\.jpg: no such image, .*complete the download"):
        _read(read_mpii, mpii[0], MpiiSource(reader="mpii", **RULES))
