"""Files of every detector: what they are taken for, whose joints come out, and what is left out."""

import json
import random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spinloop.errors import UserError
from spinloop.joints import OPENPOSE25
from spinloop.keypoints.detections import open_detections
from spinloop.keypoints.joining import Named
from spinloop.keypoints.layouts import LAYOUTS, is_body_25b, joint_of_name, layout_of_names
from spinloop.keypoints.merge import merge_records
from spinloop.tables.records import ReadCounts

# BODY_25's joints of a standing person of 100 px, by hand; COCO's order stands beside for the sets below.
BODY = {
    "nose": (50, 8), "neck": (50, 18), "right_shoulder": (40, 18), "right_elbow": (36, 32),
    "right_wrist": (34, 46), "left_shoulder": (60, 18), "left_elbow": (64, 32), "left_wrist": (66, 46),
    "mid_hip": (50, 50), "right_hip": (44, 50), "right_knee": (43, 72), "right_ankle": (42, 94),
    "left_hip": (56, 50), "left_knee": (57, 72), "left_ankle": (58, 94), "right_eye": (48, 6),
    "left_eye": (52, 6), "right_ear": (45, 7), "left_ear": (55, 7), "left_big_toe": (60, 99),
    "left_small_toe": (63, 98), "left_heel": (58, 97), "right_big_toe": (40, 99), "right_small_toe": (37, 98),
    "right_heel": (42, 97), "head_top": (50, 0), "upper_neck": (50, 15), "chest": (50, 34),
}  # fmt: skip
SIDES = [
    f"{part}{side}" for part in ("EYE", "EAR", "SHO", "ELB", "WRI", "HIP", "KNE", "ANK") for side in "LR"
]
LONG = dict(
    zip(
        ("EYE", "EAR", "SHO", "ELB", "WRI", "HIP", "KNE", "ANK"),
        ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle"),
        strict=True,
    )
)
COCO = ["nose"] + [f"{'left' if one[-1] == 'L' else 'right'}_{LONG[one[:-1]]}" for one in SIDES]
FEET = ["left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel"]
OLD = [
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow",
    "left_wrist", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
    "right_eye", "left_eye", "right_ear", "left_ear",
]  # fmt: skip
SETS = {
    "BODY_25": list(BODY)[:25],
    "BODY_25B": [*COCO, "upper_neck", "head_top", *FEET],
    "COCO 17": COCO,
    "COCO 18": OLD,
    "MPI 15": ["head_top", *OLD[1:14], "chest"],
    "HALPE_26": [
        *COCO, "head_top", "neck", "mid_hip", "left_big_toe", "right_big_toe", "left_small_toe",
        "right_small_toe", "left_heel", "right_heel",
    ],
    "COCO-WholeBody 133": [*COCO, *FEET, *["face or hand"] * 110],
    "HALPE_136": [
        *COCO, "head_top", "neck", "mid_hip", "left_big_toe", "right_big_toe", "left_small_toe",
        "right_small_toe", "left_heel", "right_heel", *["face or hand"] * 110,
    ],
}  # fmt: skip


def person(names, at=(0.0, 0.0), score=0.75):
    """x, y, score of the joints with these names; the person stands with a corner at `at`."""
    points = [BODY.get(name, (20, 20)) for name in names]
    return np.array([(x + at[0], y + at[1], score) for x, y in points])


def truth(names, at=(0.0, 0.0), score=0.75):
    """BODY_25 of such a person: what the set has, and the middles that it lacks."""
    has = {*names, "neck" if "left_shoulder" in names else "", "mid_hip" if "left_hip" in names else ""}
    rows = [(*np.add(BODY[name], at), score) if name in has else (0, 0, 0) for name in OPENPOSE25]
    return np.array(rows)


def openpose(people, key="pose_keypoints_2d"):
    return {"version": 1.3, "people": [{"person_id": [-1], key: one.reshape(-1).tolist()} for one in people]}


def results(people, key="image_id", name="a.jpg"):
    return [
        {key: name, "category_id": 1, "keypoints": one.reshape(-1).tolist(), "score": 2.9} for one in people
    ]


def mmpose(people):
    return [
        {"keypoints": one[:, :2].tolist(), "keypoint_scores": one[:, 2].tolist(), "bbox": [[1, 2, 3, 4]]}
        for one in people
    ]


def ultralytics(people):
    return [
        {
            "name": "person", "class": 0, "confidence": 0.9, "box": {"x1": 1, "y1": 2, "x2": 3, "y2": 4},
            "keypoints": dict(zip(("x", "y", "visible"), one.T.tolist(), strict=True)),
        }
        for one in people
    ]  # fmt: skip


def annotations(people):
    return {
        "images": [{"id": 7, "file_name": "a.jpg", "width": 400, "height": 300}],
        "categories": [{"id": 1, "name": "person", "keypoints": COCO}],
        "annotations": [
            {"id": n, "image_id": 7, "category_id": 1, "keypoints": one.reshape(-1).tolist()}
            for n, one in enumerate(people)
        ],
    }


FORMATS = {
    "OpenPose": ("a_keypoints.json", openpose),
    "OpenPose 1.0": ("a_keypoints.json", lambda people: openpose(people, "pose_keypoints")),
    "AlphaPose": ("alphapose-results.json", results),
    "AlphaPose open": ("alphapose-results.json", lambda people: {"a.jpg": openpose(people)}),
    "AlphaPose cmu": (
        "alphapose-results.json",
        lambda people: {"a.jpg": {"bodies": [{"joints": one.reshape(-1).tolist()} for one in people]}},
    ),
    "AlphaPose sep-json": ("a.json", openpose),
    "Detectron2, file names": ("coco_instances_results.json", lambda people: results(people, "file_name")),
    "Ultralytics predictions": ("predictions.json", lambda people: results(people, name="a")),
    "MMPose inferencer": ("a.json", mmpose),
    "MMPose saved": (
        "results_a.json",
        lambda people: {"meta_info": {"dataset_name": "x"}, "instance_info": mmpose(people)},
    ),
    "Ultralytics": ("a.json", ultralytics),
    "COCO annotations": ("labels.json", annotations),
}


def write(folder, form, people):
    name, build = FORMATS[form]
    path = folder / name
    path.write_text(json.dumps(build(people)))
    return path


@pytest.mark.parametrize("title", SETS)
@pytest.mark.parametrize("form", FORMATS)
def test_every_format_gives_the_joints_by_name(tmp_path, form, title):
    names = SETS[title]
    if form == "COCO annotations" and names != COCO:
        pytest.skip("the file says that its joints are COCO's 17")
    places = [(10.0, 20.0), (150.0, 30.0)]
    path = write(tmp_path, form, [person(names, at) for at in places])
    for place in (path, tmp_path):
        detections = open_detections(place)
        joined = detections.joined([Named("images/a.jpg"), Named("images/b.jpg")])
        found = joined.of("images/a.jpg")
        np.testing.assert_allclose(found, [truth(names, at) for at in places], atol=1e-9)
        assert joined.of("images/b.jpg") is None
        assert joined.for_nobody() == []
        assert list(detections.read_as) == [f"{next(iter(detections.read_as)).rpartition(', ')[0]}, {title}"]
        assert sum(joined.stats()["joined_by"].values()) == 1


def test_real_people_tell_body_25_and_body_25b_apart(shared_data):
    files = sorted((shared_data / "openpose_pose2sim").rglob("*_keypoints.json"))
    assert len(files) == 32
    for file in files:
        for one in json.loads(file.read_text())["people"]:
            joints = np.array(one["pose_keypoints_2d"]).reshape(1, 25, 3)
            assert is_body_25b(joints) is ("body25b" in file.name), file


def test_who_cannot_tell_is_taken_for_what_the_folder_usually_has(tmp_path):
    names = SETS["BODY_25B"]
    blind = person(names)
    blind[:13, 2] = 0  # neither face nor arms nor hips
    blind[15:, 2] = 0
    for number, one in enumerate([person(names), person(names), blind]):
        (tmp_path / f"{number}_keypoints.json").write_text(json.dumps(openpose([one])))
    found = [one.people[0] for one in open_detections(tmp_path)]
    assert found[2][OPENPOSE25.index("left_knee")].tolist() == [57, 72, 0.75]
    alone = open_detections(tmp_path / "2_keypoints.json", "body_25b")
    np.testing.assert_array_equal(next(iter(alone)).people[0], found[2])


def test_format_decides_and_must_fit(tmp_path):
    path = write(tmp_path, "AlphaPose", [person(SETS["COCO 17"])])
    with pytest.raises(UserError, match=r"entry 0: .*expected the 26 joints of HALPE_26, found 17; correct"):
        open_detections(path, "halpe_26")
    with pytest.raises(UserError, match="--format yolo: no such joint set; one of auto, body_135"):
        open_detections(path, "yolo")
    limbs = [*COCO[5:], "head_top", "neck"]
    path.write_text(json.dumps(results([person(limbs)])))
    with pytest.raises(UserError, match=r"found 14 joints, of no known set .*say --format"):
        open_detections(path)
    found = next(iter(open_detections(path, "crowdpose_14"))).people
    np.testing.assert_allclose(found, [truth(limbs)])


def test_names_in_the_file_stand_above_the_number_of_joints(tmp_path):
    names = ["pelvis", *COCO[1:]]
    random.Random(3).shuffle(names)
    content = {
        "meta_info": {"keypoint_id2name": {str(n): name for n, name in enumerate(names)}},
        "instance_info": mmpose([person([name.replace("pelvis", "mid_hip") for name in names])]),
    }
    (tmp_path / "results_a.json").write_text(json.dumps(content))
    found = next(iter(open_detections(tmp_path / "results_a.json"))).people[0]
    np.testing.assert_allclose(found, truth([*COCO[1:], "mid_hip"]))
    content["meta_info"]["keypoint_id2name"] = {str(n): f"wing_{n}" for n in range(17)}
    (tmp_path / "results_a.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"joints wing_0, .*: too few of BODY_25's joints are known by name"):
        open_detections(tmp_path / "results_a.json")


@pytest.mark.parametrize(
    "written", ["left_shoulder", "LShoulder", "l_shoulder", "Left Shoulder", "shoulder.L", "leftShoulder"]
)
def test_a_joint_is_known_however_it_is_written(written):
    assert joint_of_name(written) == "left_shoulder"


def test_a_known_set_is_recognised_by_its_names():
    for title, names in SETS.items():
        if "face or hand" not in names:
            assert layout_of_names(names).title == title


@pytest.mark.parametrize(("first", "wrap"), [(0, False), (1, True)])
def test_frames_of_mmposes_videos_are_those_of_the_video(tmp_path, first, wrap):
    frames = [
        {"frame_id": n + first, "instances": mmpose([person(COCO, (10 * n, 0))] if n != 1 else [])}
        for n in range(3)
    ]
    content = {"meta_info": {}, "instance_info": frames} if wrap else frames
    path = tmp_path / ("results_walk.json" if wrap else "walk.json")
    path.write_text(json.dumps(content))
    joined = open_detections(path).joined([Named(f"videos/walk.mp4/{n:06d}.jpg") for n in range(1, 5)])
    found = [joined.of(f"videos/walk.mp4/{n:06d}.jpg") for n in range(1, 5)]
    assert [None if one is None else len(one) for one in found] == [1, 0, 1, None]
    np.testing.assert_allclose(found[2][0], truth(COCO, (20, 0)))


def test_an_npz_of_people_with_the_names_of_their_images(tmp_path):
    joints = np.stack([person(SETS["HALPE_26"], at) for at in ((0, 0), (100, 0), (0, 90))])
    np.savez(tmp_path / "d.npz", keypoints=joints, imgname=np.array([b"x/a.jpg", b"x/b.jpg", b"x/a.jpg"]))
    joined = open_detections(tmp_path / "d.npz").joined([Named("x/a.jpg"), Named("x/b.jpg")])
    np.testing.assert_allclose(joined.of("x/a.jpg")[1], truth(SETS["HALPE_26"], (0, 90)))
    assert joined.stats()["read_as"] == {"npz, HALPE_26": 1}


def test_other_categories_are_counted_and_not_people(tmp_path):
    entries = results([person(COCO), person(COCO)])
    entries[1]["category_id"] = 2
    path = tmp_path / "d.json"
    path.write_text(json.dumps(entries))
    detections = open_detections(path)
    assert len(next(iter(detections)).people) == 1
    assert detections.stats()["left_out"] == {"other_category": 1}
    horse = ultralytics([person(COCO)] * 2)
    horse[0]["name"] = "horse"
    path.write_text(json.dumps(horse))
    assert open_detections(path).stats()["left_out"] == {"other_category": 1}


def test_scores_beyond_their_range_are_clipped_and_unseen_joints_are_zero(tmp_path):
    joints = person(COCO)
    joints[0, 2], joints[9, 2], joints[10, 2] = 7.5, 0.0, -0.3
    path = write(tmp_path, "AlphaPose", [joints])
    found = next(iter(open_detections(path))).people[0]
    assert found[0, 2] == 1.0
    assert not found[[OPENPOSE25.index("left_wrist"), OPENPOSE25.index("right_wrist")]].any()


def _hurt(one):
    """Ways to damage an entry, each of which leaves that entry out."""
    yield {key: value for key, value in one.items() if not key.endswith("keypoints") and "pose" not in key}
    for key in one:
        if "keypoint" in key and key != "keypoint_scores":
            for value in (
                None,
                "x",
                [],
                [1.0, 2.0],
                [[1.0, 2.0], [3.0]],
                {"x": 1},
                [float("nan")] * 51,
                10**30,
            ):
                yield one | {key: value}
    yield 7
    yield None


@pytest.mark.parametrize("form", ["OpenPose", "AlphaPose", "MMPose inferencer", "Ultralytics"])
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_one_bad_entry_is_left_out_counted_and_stops_nothing(tmp_path, form, data):
    """Permute and damage: the sound people come out whatever lies between them."""
    names = SETS["BODY_25" if form == "OpenPose" else "COCO 17"]
    places = [(10.0 * number, 5.0 * number) for number in range(4)]
    name, build = FORMATS[form]
    content = build([person(names, at) for at in places])
    entries = content["people"] if form == "OpenPose" else content
    bad = data.draw(st.sampled_from(list(_hurt(entries[2]))))
    entries[2] = bad
    order = data.draw(st.permutations(range(4)))
    shuffled = [entries[place] for place in order]
    if form == "OpenPose":
        content["people"] = shuffled
    else:
        content = shuffled
    (tmp_path / name).write_text(json.dumps(content))
    detections = open_detections(tmp_path / name)
    (one,) = detections
    expected = [truth(names, places[place]) for place in order if place != 2]
    np.testing.assert_allclose(one.people, expected, atol=1e-9)
    assert sum(detections.stats()["left_out"].values()) == 1
    assert "1 " in detections.describe().partition("left out: ")[2]


WORDS = (
    "people bodies joints pose_keypoints_2d keypoints keypoint_scores image_id file_name instances id name "
    "instance_info meta_info keypoint_id2name frame_id images annotations categories 0 category_id"
).split()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    content=st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=4),
        lambda one: (
            st.lists(one, max_size=3)
            | st.dictionaries(
                st.sampled_from(WORDS),
                one,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_any_json_is_read_or_refused_in_one_line(tmp_path, content):
    path = tmp_path / "d.json"
    path.write_text(json.dumps(content))
    message = f"{path}: "
    try:
        detections = open_detections(path)
        assert all(one.people.shape[1:] == (25, 3) for one in detections)
        detections.joined([Named("a.jpg"), Named("b/a.jpg"), Named("2.jpg")])
    except UserError as error:
        message = str(error)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not valid JSON"),
        ("{}", r"no file of a detector; docs/formats\.md"),
        ("[[]]", "entry 0: expected an object"),
        ('[{"image_id": 1}, 3]', r"entry 0\.keypoints: not a list of numbers"),
        ('[{"keypoint": []}]', r"entry 0: image_id or file_name missing"),
        ('[{"image_id": 1, "keypoints": [1, 2]}]', "entry 0: keypoints: expected x, y, score of each joint"),
        ('[{"image_id": 1, "keypoints": [1, "2", 3]}]', r"entry 0\.keypoints: not a list of numbers"),
        (json.dumps(results([person(COCO)[:, :2]])), "expected x, y, score|of no known set"),
        (json.dumps(results([person(COCO) * np.nan])), "not finite"),
        (json.dumps(results([person(COCO) / 100])), r"within ±2, so not in pixels.*keypoint_scale 0"),
        (json.dumps({"people": [{}]}), r"people\[0\]\.pose_keypoints_2d: not a list of numbers"),
        (json.dumps({"people": [{"pose_keypoints_2d": [0] * 60}]}), "found 20 joints, of no known set"),
    ],
)
def test_a_file_without_anything_to_use_is_one_line_with_the_cure(tmp_path, content, message):
    path = tmp_path / "d.json"
    path.write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        open_detections(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_damaged_file_of_a_folder_is_counted_and_the_others_are_read(tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}_keypoints.json").write_text(json.dumps(openpose([person(SETS["BODY_25"])])))
    (tmp_path / "b_keypoints.json").write_text('{"people": [{"pose')
    (tmp_path / "notes.json").write_text("{}")
    detections = open_detections(tmp_path)
    assert [one.key.name for one in detections] == ["a", "c"]
    assert detections.stats() == {
        "read_as": {"OpenPose, BODY_25": 2},
        "left_out": {"file_damaged": 1, "file_not_read": 1},
        "examples": {"file_damaged": ["b_keypoints.json"], "file_not_read": ["notes.json"]},
    }


def test_a_path_with_nothing_there_is_named(tmp_path):
    with pytest.raises(UserError, match="nothing: no such folder; give a detector's output"):
        open_detections(tmp_path / "nothing")


def test_ultralytics_text_labels_get_the_line_that_is_for_them(tmp_path):
    (tmp_path / "README.txt").write_text("no detections yet\n")
    assert open_detections(tmp_path).keys == []
    (tmp_path / "README.txt").write_text(" ".join(["0"] + ["0.512345"] * 55) + "\n")
    with pytest.raises(UserError, match=r"README\.txt: Ultralytics' label, .*; write `result\.to_json\(\)`"):
        open_detections(tmp_path)


def test_merging_takes_any_detector_as_it_takes_openpose(tmp_path, make_record, merge_params):
    limbs = [16, 14, 12, 11, 13, 15, 10, 8, 6, 5, 7, 9]  # the first twelve of the 24 by COCO's numbers
    places = {1: (10.0, 20.0), 2: (200.0, 20.0)}
    records = []
    for number, at in places.items():
        keypoints = np.zeros((24, 3))
        keypoints[:12] = person(COCO, at, 1.0)[limbs] + (2.0, 2.0, 0.0)
        records.append(make_record(number, "images/a.jpg", keypoints=keypoints, scale=0.5))
    entries = results([person(COCO, places[number]) for number in (2, 1)], "file_name", "images/a.jpg")
    (tmp_path / "d.json").write_text(json.dumps(entries))
    counts = ReadCounts()
    joined = open_detections(tmp_path / "d.json").joined([Named("images/a.jpg")])
    rows = list(merge_records(records, joined, merge_params, None, counts))
    assert [row["provenance"] for row in rows] == ["matched", "matched"]
    for row, at in zip(rows, places.values(), strict=True):
        np.testing.assert_allclose(row["keypoints"][:25], truth(COCO, at), atol=1e-5)


def test_real_annotations_pass_as_cocos_results(shared_data, tmp_path):
    content = json.loads((shared_data / "coco_keypoints" / "test_coco.json").read_text())
    results_of = [
        {"image_id": one["image_id"], "category_id": 1, "keypoints": one["keypoints"], "score": 1.0}
        for one in content["annotations"]
        if one["num_keypoints"]
    ]
    (tmp_path / "results.json").write_text(json.dumps(results_of))
    joined = open_detections(tmp_path / "results.json").joined(
        [Named(f"val2017/{image['file_name']}", str(image["id"])) for image in content["images"]]
    )
    assert joined.for_nobody() == []
    found = [joined.of(f"val2017/{image['file_name']}") for image in content["images"]]
    assert sum(len(one) for one in found if one is not None) == len(results_of) == 12


LAYOUT_TITLES = {layout.title for layout in LAYOUTS.values()}


def test_the_sets_of_these_tests_are_known_by_the_titles_of_their_authors():
    assert set(SETS) <= LAYOUT_TITLES
