import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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


def test_an_absent_image_is_counted_and_left_out(coco_tree, coco_source):
    (coco_tree / "train2014" / "COCO_train2014_000000000003.jpg").unlink()
    records, counts = _read(coco_tree, coco_source)
    assert [record.person for record in records] == [12, 50]
    assert counts.stats()["left_out"]["absent_image"] == 1


def test_an_unreadable_image_is_counted_and_left_out(coco_tree, coco_source):
    (coco_tree / "train2014" / "COCO_train2014_000000000003.jpg").write_bytes(b"not an image")
    records, counts = _read(coco_tree, coco_source)
    assert [record.person for record in records] == [12, 50]
    assert counts.stats()["left_out"]["unreadable_image"] == 1


def test_an_image_of_another_size_is_counted_and_left_out(coco_tree, coco_source, write_jpeg):
    write_jpeg(coco_tree / "train2014" / "COCO_train2014_000000000003.jpg", 120, 160)
    assert _read(coco_tree, coco_source)[1].stats()["left_out"]["image_size_differs"] == 1


def _add_horse(content) -> None:
    horse = {"id": 2, "name": "horse", "keypoints": content["categories"][0]["keypoints"]}
    content["categories"].append(horse)
    content["annotations"][0]["category_id"] = 2


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_add_horse, "other_category"),
        (lambda content: content["annotations"][0].update(keypoints=[]), "no_visible_joint"),
        (lambda content: content["annotations"][0].pop("keypoints"), "no_visible_joint"),
        (lambda content: content["annotations"][0]["keypoints"].pop(), "wrong_keypoints"),
        (lambda content: content["annotations"][0].update(keypoints=[None] * 51), "wrong_keypoints"),
        (lambda content: content["annotations"][0].update(keypoints=[float("inf")] * 51), "wrong_keypoints"),
        (lambda content: content["annotations"][0].update(bbox=[1, 2, 3]), "wrong_bbox"),
        (lambda content: content["annotations"][0].update(bbox="a"), "wrong_bbox"),
        (lambda content: content["annotations"][0].update(id=10**18), "wrong_id"),
        (lambda content: content["annotations"][0].update(id=None), "wrong_id"),
        (lambda content: content["annotations"][0].update(image_id=404), "image_not_listed"),
        (lambda content: content["annotations"][0].pop("image_id"), "wrong_image_id"),
        (lambda content: content["annotations"].append(content["annotations"][2]), "duplicate_id"),
        (lambda content: content["annotations"].append(7), "wrong_entry"),
    ],
)
def test_one_bad_entry_is_left_out_and_counted_and_the_others_are_read(
    coco_tree, coco_source, change, reason
):
    before = {record.id: record for record in _read(coco_tree, coco_source)[0]}
    left_before = _read(coco_tree, coco_source)[1].stats()["left_out"]
    _edit(coco_tree, change)
    records, counts = _read(coco_tree, coco_source)
    assert [record.person for record in records if record.person != 50] == [31, 12]
    assert counts.stats()["left_out"][reason] == left_before.get(reason, 0) + 1
    for record in records:
        np.testing.assert_array_equal(record.keypoints, before[record.id].keypoints)


@pytest.mark.parametrize("key", ["id", "file_name", "width"])
def test_an_image_entry_without_a_field_costs_its_own_people_only(coco_tree, coco_source, key):
    _edit(coco_tree, lambda content: content["images"][0].pop(key))
    records, counts = _read(coco_tree, coco_source)
    assert 0 < len(records) < 3
    assert counts.stats()["noted"] == {f"wrong_{key}_of_image": 1}
    assert counts.stats()["left_out"]["image_not_listed"] >= 1


def test_a_person_without_a_box_gets_the_one_around_the_joints(coco_tree, coco_source):
    _edit(coco_tree, lambda content: content["annotations"][0].pop("bbox"))
    record = next(one for one in _read(coco_tree, coco_source)[0] if one.person == 50)
    seen = record.keypoints[record.keypoints[:, 2] > 0, :2]
    np.testing.assert_allclose(record.center, (seen.min(0) + seen.max(0)) / 2)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_joints_are_taken_by_the_names_that_the_category_gives(coco_tree, coco_source, data):
    """Permute and rename: any order of the joints, and words as other tools write them."""
    before = {record.id: record.keypoints for record in _read(coco_tree, coco_source)[0]}
    path, kept = _annotation_file(coco_tree), _annotation_file(coco_tree).read_text()
    order = data.draw(st.permutations(range(17)))
    style = data.draw(st.sampled_from([str, str.upper, str.title, lambda name: name.replace("_", " ")]))

    def shuffle(content):
        (category,) = content["categories"]
        category["keypoints"] = [style(category["keypoints"][place]) for place in order]
        for one in content["annotations"]:
            joints = np.reshape(one["keypoints"], (17, 3))
            one["keypoints"] = joints[list(order)].reshape(-1).tolist()

    _edit(coco_tree, shuffle)
    found = {record.id: record.keypoints for record in _read(coco_tree, coco_source)[0]}
    path.write_text(kept)
    assert found.keys() == before.keys()
    for name, keypoints in found.items():
        np.testing.assert_array_equal(keypoints, before[name])


def test_image_names_of_another_machine_are_found_by_their_end(coco_tree, coco_source):
    ids = [record.id for record in _read(coco_tree, coco_source)[0]]

    def root(content):
        content["images"][0]["file_name"] = "/scratch/me/coco/train2014/" + content["images"][0]["file_name"]
        content["images"][1]["file_name"] = "C:\\coco\\" + content["images"][1]["file_name"]

    _edit(coco_tree, root)
    records, counts = _read(coco_tree, coco_source)
    assert [record.id for record in records] == ids
    assert counts.stats()["noted"] == {"image_found_by_end_of_path": 2}
    _edit(coco_tree, lambda content: content["images"][0].update(file_name="../train2014/b.jpg"))
    assert _read(coco_tree, coco_source)[1].stats()["noted"]["image_outside_folder"] == 1


def _only_animals(content) -> None:
    content["categories"] = [{"id": n, "name": name} for n, name in ((2, "horse"), (3, "cow"))]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.pop("annotations"), "annotations: list missing, so this is no COCO"),
        (_only_animals, "categories: none is called person, found horse, cow; call that of people so"),
        (
            lambda content: content["categories"][0].update(keypoints=["wing", "nose"]),
            "categories: keypoints wing, nose: fewer than four of COCO's joints are known by name",
        ),
        (lambda content: content["categories"][0].update(keypoints=5), "keypoints: expected the names"),
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
    with pytest.raises(UserError, match="train2014: no such folder; put the images there"):
        _read(coco_tree, coco_source)
