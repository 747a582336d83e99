import json

import numpy as np
import pytest

from spinloop.datasets.photos import read_photos
from spinloop.errors import UserError
from spinloop.params.datasets import PhotosSource
from spinloop.tables.records import ReadCounts

LIMBS25 = [11, 10, 9, 12, 13, 14, 4, 3, 2, 5, 6, 7]


@pytest.fixture
def source() -> PhotosSource:
    return PhotosSource(reader="photos", raw="", box_factor=1.2, min_limb_joints=6)


@pytest.fixture
def folder(tmp_path, write_jpeg, write_openpose):
    """Two usable people; one with too few joints; images of nobody, without file, and unreadable."""
    rng = np.random.default_rng(0)
    people = np.concatenate([rng.uniform(20, 200, (3, 25, 2)), np.full((3, 25, 1), 0.5)], axis=2)
    people[1, LIMBS25[5:]] = 0
    for name in ("b", "a/x", "nobody", "no_file", "broken"):
        write_jpeg(tmp_path / f"{name}.jpg", 240, 320)
    write_openpose(tmp_path / "a" / "x_keypoints.json", people)
    write_openpose(tmp_path / "b_keypoints.json", people[:0])
    write_openpose(tmp_path / "nobody_keypoints.json", people[:0])
    write_openpose(tmp_path / "broken_keypoints.json", people[:1])
    (tmp_path / "broken.jpg").write_bytes(b"text")
    return tmp_path, people


def test_a_record_per_detected_person_with_its_box(folder, source):
    raw, people = folder
    counts = ReadCounts()
    records = list(read_photos(raw, "mine", source, False, counts))
    assert [record.id for record in records] == ["mine/a/x.jpg#0", "mine/a/x.jpg#2"]
    for record in records:
        joints = people[record.person, :, :2]
        np.testing.assert_allclose(record.center, (joints.min(0) + joints.max(0)) / 2)
        assert record.scale == pytest.approx(1.2 * np.ptp(joints, axis=0).max() / 200)
        assert (record.image_height, record.image_width) == (240, 320)
        assert record.keypoints is None
    assert counts.stats()["left_out"] == {
        "too_few_limb_joints": 1, "no_person": 2, "no_file": 1, "unreadable_image": 1,
    }  # fmt: skip


def test_another_detectors_files_are_read_and_what_is_not_read_is_counted(folder, source):
    """A list of AlphaPose's beside the photographs; a phone's HEIC; a person of another photograph."""
    raw, people = folder
    for path in raw.rglob("*_keypoints.json"):
        path.unlink()
    coco = people[:, [0, 16, 15, 18, 17, 5, 2, 6, 3, 7, 4, 12, 9, 13, 10, 14, 11]]
    entries = [
        {"image_id": name, "keypoints": one.reshape(-1).tolist(), "score": 1.0}
        for name, one in (
            ("x.jpg", coco[0]),
            ("b.jpg", coco[2] + [400, 0, 0]),
            ("b.jpg", coco[2]),
            ("c.jpg", coco[2]),
        )
    ]
    (raw / "alphapose-results.json").write_text(json.dumps(entries))
    (raw / "phone.HEIC").write_bytes(b"heic")
    counts = ReadCounts()
    records = list(read_photos(raw, "mine", source, False, counts))
    assert [record.id for record in records] == ["mine/a/x.jpg#0", "mine/b.jpg#1"]
    stats = counts.stats()
    assert stats["left_out"] == {"joints_outside_image": 1, "no_file": 3}
    assert stats["noted"] == {"file_not_read": 1, "detections_for_nobody": 1}
    assert stats["examples"]["file_not_read"] == ["phone.HEIC"]


def test_a_folder_without_photographs_is_named(tmp_path, source):
    with pytest.raises(UserError, match=r"no photographs \(\*\.jpg, \*\.png\) there; correct sources\.mine"):
        list(read_photos(tmp_path, "mine", source, False, ReadCounts()))


def test_there_is_no_published_way_to_read_photographs(folder, source):
    with pytest.raises(UserError, match="--compat official: the published code reads no photos"):
        list(read_photos(folder[0], "mine", source, True, ReadCounts()))
