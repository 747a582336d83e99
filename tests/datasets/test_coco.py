import json

import numpy as np
import pytest

from spinloop.datasets.coco import read_coco
from spinloop.errors import UserError
from spinloop.tables.records import ReadCounts

# COCO's 17 joints in the 24, as the published preprocessing lists them.
PUBLISHED = [19, 20, 21, 22, 23, 9, 8, 10, 7, 11, 6, 3, 2, 4, 1, 5, 0]


def _read(raw, source, is_official=False):
    counts = ReadCounts()
    return list(read_coco(raw, "coco_train", source, is_official, counts)), counts


def _annotation_file(raw):
    return raw / "annotations" / "person_keypoints_train2014.json"


def _edit(raw, change) -> None:
    content = json.loads(_annotation_file(raw).read_text())
    change(content)
    _annotation_file(raw).write_text(json.dumps(content))


def test_records_equal_a_plain_reading_of_the_json(coco_tree, coco_source):
    records, _ = _read(coco_tree, coco_source)
    content = json.loads(_annotation_file(coco_tree).read_text())
    by_id = {annotation["id"]: annotation for annotation in content["annotations"]}
    names = {image["id"]: image["file_name"] for image in content["images"]}
    assert len(records) == 3
    for record in records:
        annotation = by_id[record.person]
        assert record.image == "train2014/" + names[annotation["image_id"]]
        assert record.id == f"coco_train/{record.image}#{annotation['id']}"
        assert (record.image_height, record.image_width) == (240, 320)
        left, top, width, height = annotation["bbox"]
        np.testing.assert_allclose(record.center, [left + width / 2, top + height / 2])
        assert record.scale == pytest.approx(1.2 * max(width, height) / 200)
        expected = np.zeros((24, 3))
        for joint, place in enumerate(PUBLISHED):
            x, y, label = annotation["keypoints"][3 * joint : 3 * joint + 3]
            expected[place] = [x, y, 1.0] if label > 0 else 0.0
        np.testing.assert_array_equal(record.keypoints, expected)


def test_people_come_by_image_then_id(coco_tree, coco_source):
    people = [record.person for record in _read(coco_tree, coco_source)[0]]
    assert people == [31, 12, 50]


def test_the_order_of_the_file_changes_nothing(coco_tree, coco_source):
    before = [record.id for record in _read(coco_tree, coco_source)[0]]
    _edit(coco_tree, lambda content: (content["annotations"].reverse(), content["images"].reverse()))
    assert [record.id for record in _read(coco_tree, coco_source)[0]] == before


def test_everybody_left_out_is_counted_with_the_reason(coco_tree, coco_source):
    stats = _read(coco_tree, coco_source)[1].stats()
    assert stats["read"] == 7
    assert stats["kept"] == 3
    assert stats["left_out"] == {
        "crowd": 1, "no_visible_joint": 1, "too_few_limb_joints": 1, "empty_box": 1,
    }  # fmt: skip
    assert stats["examples"]["crowd"] == ["coco_train/train2014/COCO_train2014_000000000007.jpg#900100"]


def test_the_published_filter_asks_for_all_twelve_and_keeps_the_order_of_the_file(coco_tree, coco_source):
    records, counts = _read(coco_tree, coco_source, is_official=True)
    assert [record.person for record in records] == [50, 31]
    assert counts.stats()["left_out"]["too_few_limb_joints"] == 2


def test_the_number_of_limb_joints_is_a_parameter(coco_tree, coco_source):
    kept = [
        len(_read(coco_tree, coco_source.model_copy(update={"min_limb_joints": least}))[0])
        for least in (1, 6, 7)
    ]
    assert kept == [3, 3, 2]


def test_images_may_lie_in_a_folder_of_their_own(coco_tree, coco_source):
    (coco_tree / "images").mkdir()
    (coco_tree / "train2014").rename(coco_tree / "images" / "train2014")
    records, _ = _read(coco_tree, coco_source)
    assert records[0].image == "images/train2014/COCO_train2014_000000000003.jpg"


def test_an_image_that_is_listed_but_absent_stops_with_the_cure(coco_tree, coco_source):
    (coco_tree / "train2014" / "COCO_train2014_000000000003.jpg").unlink()
    with pytest.raises(UserError, match=r"000003\.jpg: no such image, .*complete the download"):
        _read(coco_tree, coco_source)


def test_an_unreadable_image_is_counted_and_left_out(coco_tree, coco_source):
    (coco_tree / "train2014" / "COCO_train2014_000000000003.jpg").write_bytes(b"not an image")
    records, counts = _read(coco_tree, coco_source)
    assert [record.person for record in records] == [12, 50]
    assert counts.stats()["left_out"]["unreadable_image"] == 1


def test_an_image_of_another_size_is_counted_and_left_out(coco_tree, coco_source, write_jpeg):
    write_jpeg(coco_tree / "train2014" / "COCO_train2014_000000000003.jpg", 120, 160)
    assert _read(coco_tree, coco_source)[1].stats()["left_out"]["image_size_differs"] == 1


def _shuffled_names(content) -> None:
    content["categories"][0]["keypoints"].reverse()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.pop("annotations"), "annotations: list missing, so this is no COCO"),
        (lambda content: content["annotations"][0].pop("bbox"), "annotation 50: expected id, bbox of 4"),
        (lambda content: content["annotations"][0]["keypoints"].pop(), "annotation 50: .* 17 × 3"),
        (lambda content: content["annotations"][0].update(image_id=404), "image_id 404 is not listed"),
        (lambda content: content["images"][0].pop("width"), "images: an entry has no width"),
        (_shuffled_names, "categories: the joints of a person are not COCO's 17"),
    ],
)
def test_a_file_that_is_not_cocos_is_one_line_with_the_cure(coco_tree, coco_source, change, message):
    _edit(coco_tree, change)
    with pytest.raises(UserError, match=message) as caught:
        _read(coco_tree, coco_source)
    assert str(caught.value).startswith(str(_annotation_file(coco_tree)))
    assert "\n" not in str(caught.value)


def test_broken_json_names_file_and_place(coco_tree, coco_source):
    path = _annotation_file(coco_tree)
    path.write_text(path.read_text()[:-40])
    with pytest.raises(UserError, match=r"train2014\.json: not valid JSON \(.*line 1 column"):
        _read(coco_tree, coco_source)


def test_absent_folders_are_named(coco_tree, coco_source):
    source = coco_source.model_copy(update={"subset": "val2014"})
    with pytest.raises(UserError, match=r"person_keypoints_val2014\.json: no such file"):
        _read(coco_tree, source)
    (coco_tree / "train2014").rename(coco_tree / "elsewhere")
    with pytest.raises(UserError, match="train2014: no such folder; download COCO's images"):
        _read(coco_tree, coco_source)
