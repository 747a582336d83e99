import pickle

import cv2
import numpy as np
import pytest

from spinloop.datasets.pw3d import read_pw3d
from spinloop.errors import UserError
from spinloop.joints import COMMON24
from spinloop.tables.records import ReadCounts


def _read(raw, source, is_official=False):
    counts = ReadCounts()
    return list(read_pw3d(raw, "pw3d_test", source, is_official, counts)), counts


def _path(raw, sequence="walk_00"):
    return raw / "sequenceFiles" / "test" / f"{sequence}.pkl"


def _edit(raw, change, sequence="walk_00") -> None:
    content = pickle.loads(_path(raw, sequence).read_bytes())
    change(content)
    _path(raw, sequence).write_bytes(pickle.dumps(content, protocol=2))


def test_records_equal_a_plain_reading_of_the_pickle(pw3d_tree, pw3d_source):
    records, _ = _read(pw3d_tree, pw3d_source)
    for record in records:
        content = pickle.loads(_path(pw3d_tree, record.sequence).read_bytes())
        frame, person = record.frame, record.person
        assert record.image == f"imageFiles/{record.sequence}/image_{frame:05d}.jpg"
        assert record.id == f"pw3d_test/{record.image}#{person}"
        assert (record.image_height, record.image_width) == (256, 144)
        pose = content["poses"][person][frame]
        np.testing.assert_array_equal(record.pose[3:], pose[3:])
        camera = content["cam_poses"][frame][:3, :3]
        np.testing.assert_allclose(
            cv2.Rodrigues(record.pose[:3])[0], camera @ cv2.Rodrigues(pose[:3])[0], atol=1e-12
        )
        np.testing.assert_array_equal(record.betas, content["betas"][person][:10])
        assert record.gender == {"f": "female", "m": "male"}[content["genders"][person]]
        x, y, score = content["poses2d"][person][frame]
        low = np.array([x[score > 0].min(), y[score > 0].min()])
        high = np.array([x[score > 0].max(), y[score > 0].max()])
        np.testing.assert_allclose(record.center, (low + high) / 2)
        assert record.scale == pytest.approx(1.2 * (high - low).max() / 200)
        assert record.keypoints is not None
        for name, place in (("right_wrist", 4), ("left_ankle", 13), ("nose", 0)):
            seen = content["poses2d"][person][frame][:, place] * (score[place] > 0)
            np.testing.assert_allclose(record.keypoints[COMMON24.index(name)], seen)
        assert not record.keypoints[COMMON24.index("neck_lsp")].any()
        assert record.joints_3d is None


def test_people_come_by_sequence_frame_and_person(pw3d_tree, pw3d_source):
    rows = [(record.sequence, record.frame, record.person) for record in _read(pw3d_tree, pw3d_source)[0]]
    walk = [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (3, 1)]
    assert rows == [("bus_01", 0, 0), ("bus_01", 1, 0), *(("walk_00", *pair) for pair in walk)]


def test_the_published_order_is_person_by_person(pw3d_tree, pw3d_source):
    records, _ = _read(pw3d_tree, pw3d_source, is_official=True)
    walk = [(record.person, record.frame) for record in records if record.sequence == "walk_00"]
    assert walk == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 3)]


def test_frames_that_cannot_be_used_are_counted(pw3d_tree, pw3d_source):
    stats = _read(pw3d_tree, pw3d_source)[1].stats()
    assert stats["read"] == 10
    assert stats["kept"] == 8
    assert stats["left_out"] == {"camera_pose_invalid": 1, "no_visible_joint": 1}


def test_one_visible_joint_has_no_box(pw3d_tree, pw3d_source):
    def change(content) -> None:
        content["poses2d"][0][0][2, 1:] = 0.0

    _edit(pw3d_tree, change)
    assert _read(pw3d_tree, pw3d_source)[1].stats()["left_out"]["empty_box"] == 1


def test_a_number_that_is_not_finite_is_counted(pw3d_tree, pw3d_source):
    _edit(pw3d_tree, lambda content: content["poses"][0].__setitem__((1, 7), np.nan))
    assert _read(pw3d_tree, pw3d_source)[1].stats()["left_out"]["not_finite"] == 1


def test_an_image_that_is_listed_but_absent_stops_with_the_cure(pw3d_tree, pw3d_source):
    (pw3d_tree / "imageFiles" / "bus_01" / "image_00001.jpg").unlink()
    with pytest.raises(UserError, match=r"bus_01/image_00001\.jpg: no such image, .*complete the download"):
        _read(pw3d_tree, pw3d_source)


def test_a_folder_with_more_images_than_frames_is_noted(pw3d_tree, pw3d_source, write_jpeg):
    write_jpeg(pw3d_tree / "imageFiles" / "bus_01" / "image_00002.jpg", 256, 144)
    stats = _read(pw3d_tree, pw3d_source)[1].stats()
    assert (stats["noted"], stats["examples"]["frame_count_differs"]) == (
        {"frame_count_differs": 1},
        ["bus_01"],
    )


def test_an_unreadable_image_is_counted_for_each_of_its_people(pw3d_tree, pw3d_source):
    (pw3d_tree / "imageFiles" / "walk_00" / "image_00001.jpg").write_bytes(b"")
    assert _read(pw3d_tree, pw3d_source)[1].stats()["left_out"]["unreadable_image"] == 2


def test_a_pickle_that_runs_code_is_refused(pw3d_tree, pw3d_source):
    _path(pw3d_tree).write_bytes(b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00id\x85R.")
    with pytest.raises(UserError, match=r"walk_00\.pkl: the pickle asks for os\.system"):
        _read(pw3d_tree, pw3d_source)


def test_a_truncated_pickle_is_one_line_with_the_cure(pw3d_tree, pw3d_source):
    path = _path(pw3d_tree)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"walk_00\.pkl: not a readable pickle \(.+\); download 3DPW's"):
        _read(pw3d_tree, pw3d_source)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.pop("poses"), "poses: expected a list over people, found NoneType"),
        (lambda content: content.pop("cam_poses"), "cam_poses: expected"),
        (lambda content: content["genders"].pop(), "the keys count people differently"),
        (lambda content: content["genders"].__setitem__(1, "x"), r"genders\[1\]: expected 'm' or 'f'"),
        (
            lambda content: content["poses"].__setitem__(0, content["poses"][0][:2]),
            r"poses\[0\]: expected 4 × 72, found 2 × 72",
        ),
        (
            lambda content: content["poses2d"].__setitem__(1, content["poses2d"][1][:, :2]),
            r"poses2d\[1\]: expected 4 × 3 × 18, found 4 × 2 × 18",
        ),
        (
            lambda content: content["betas"].__setitem__(1, np.zeros(4)),
            r"betas\[1\]: expected at least 10 numbers, found 4",
        ),
    ],
)
def test_a_wrong_content_is_named_with_file_and_key(pw3d_tree, pw3d_source, change, message):
    _edit(pw3d_tree, change)
    with pytest.raises(UserError, match=message) as caught:
        _read(pw3d_tree, pw3d_source)
    assert str(caught.value).startswith(str(_path(pw3d_tree)))


def test_an_empty_folder_is_named(tmp_path, pw3d_source):
    with pytest.raises(UserError, match=r"sequenceFiles/test: no sequence files \(\*\.pkl\) there; download"):
        _read(tmp_path, pw3d_source)


@pytest.mark.parametrize("camera", [np.zeros((3, 3)), np.diag([1.0, 1, -1]), 2 * np.eye(3), np.ones((3, 3))])
def test_a_camera_pose_that_is_no_rotation_is_left_out_and_refused_if_there_is_no_other(
    pw3d_tree, pw3d_source, camera
):
    def spoil(frames):
        def change(content):
            content["cam_poses"][frames, :3, :3] = camera

        return change

    before = len(_read(pw3d_tree, pw3d_source)[0])
    _edit(pw3d_tree, spoil(slice(0, 1)))
    records, counts = _read(pw3d_tree, pw3d_source)
    assert len(records) < before
    assert counts.stats()["left_out"]["camera_pose_invalid"] > 0
    _edit(pw3d_tree, spoil(slice(None)))
    with pytest.raises(UserError, match=r"walk_00\.pkl: cam_poses: none of them is a rotation"):
        _read(pw3d_tree, pw3d_source)
