"""The 3DPW mirror, read back with plain pickle from the format's description."""

import pickle
import pickletools
import re

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from scipy.spatial.transform import Rotation

from spinloop.body.files import load_body
from spinloop.body.model import BodyModel
from spinloop.datasets.pw3d import read_pw3d
from spinloop.files.pickles import load_pickle
from spinloop.joints import MODEL49, OPENPOSE18
from spinloop.mirror.job import load_truth
from spinloop.mirror.pw3d import dumps_python2
from spinloop.params.datasets import Pw3dSource
from spinloop.tables.records import ReadCounts

KEYS = {
    "sequence", "genders", "betas", "poses", "trans", "jointPositions", "poses2d", "campose_valid",
    "cam_poses", "cam_intrinsics", "img_frame_ids",
}  # fmt: skip
GENDER = {"f": "female", "m": "male"}


@pytest.fixture(scope="module")
def models(body_files):
    return {letter: BodyModel(load_body(body_files[GENDER[letter]])) for letter in GENDER}


@pytest.fixture(scope="module")
def sequences(pw3d):
    paths = sorted((pw3d.out / "sequenceFiles" / "test").glob("*.pkl"))
    return {path.stem: pickle.loads(path.read_bytes(), encoding="latin1") for path in paths}


def test_sequence_files_have_the_keys_and_shapes_of_the_original(pw3d, sequences):
    frames = pw3d.section.n_frames
    assert len(sequences) == pw3d.section.n_sequences
    n_people = {len(content["poses"]) for content in sequences.values()}
    assert n_people == {1, 2}
    for name, content in sequences.items():
        assert set(content) == KEYS
        assert content["sequence"] == name
        assert content["cam_poses"].shape == (frames, 4, 4)
        assert content["cam_intrinsics"].shape == (3, 3)
        for person, gender in enumerate(content["genders"]):
            assert gender in GENDER
            shapes = [np.shape(content[key][person]) for key in ("poses", "trans", "poses2d", "betas")]
            assert shapes == [(frames, 72), (frames, 3), (frames, 3, 18), (10,)]
            assert content["campose_valid"][person].shape == (frames,)


def test_every_frame_has_its_picture(pw3d, sequences):
    for name in sequences:
        files = sorted(path.name for path in (pw3d.out / "imageFiles" / name).iterdir())
        assert files == [f"image_{frame:05d}.jpg" for frame in range(pw3d.section.n_frames)]
        shapes = {cv2.imread(str(pw3d.out / "imageFiles" / name / file)).shape for file in files}
        assert len(shapes) == 1


def world_vertices(content, person, models):
    body = models[content["genders"][person]]
    pose = torch.tensor(content["poses"][person], dtype=torch.float32)
    betas = torch.tensor(content["betas"][person], dtype=torch.float32).expand(len(pose), -1)
    output = body(pose, betas)
    trans = content["trans"][person][:, None]
    return output.vertices.double().numpy() + trans, output.joints24.double().numpy() + trans, output.joints49


def test_joint_positions_are_those_of_the_posed_body(sequences, models):
    for content in sequences.values():
        for person in range(len(content["poses"])):
            _, joints24, _ = world_vertices(content, person, models)
            np.testing.assert_allclose(
                content["jointPositions"][person].reshape(-1, 24, 3), joints24, atol=1e-5
            )


def test_truth_in_camera_axes_is_the_annotated_body_seen_by_the_annotated_camera(pw3d, sequences, models):
    rows = {row.id: row for row in load_truth(pw3d.truth).itertuples()}
    checked = 0
    for name, content in sequences.items():
        for person in range(len(content["poses"])):
            vertices, _, _ = world_vertices(content, person, models)
            for frame, camera in enumerate(content["cam_poses"]):
                row = rows.get(f"pw3d_test/imageFiles/{name}/image_{frame:05d}.jpg#{person}")
                if row is None:
                    continue
                assert row.gender == GENDER[content["genders"][person]]
                body = models[content["genders"][person]]
                seen = (
                    body.vertices(torch.tensor(row.pose)[None], torch.tensor(row.betas)[None])[0]
                    .double()
                    .numpy()
                )
                expected = vertices[frame] @ camera[:3, :3].T + camera[:3, 3]
                np.testing.assert_allclose(seen + row.translation, expected, atol=2e-5)
                root = Rotation.from_matrix(camera[:3, :3]) * Rotation.from_rotvec(
                    content["poses"][person][frame, :3]
                )
                assert (root.inv() * Rotation.from_rotvec(row.pose[:3])).magnitude() < 1e-5
                checked += 1
    assert checked == len(rows) > 15


def test_detections_without_noise_are_the_projected_joints_and_zero_where_missed(sequences, models):
    order = [MODEL49.index(f"op_{name}") for name in OPENPOSE18]
    n_found = n_missed = 0
    for content in sequences.values():
        for person in range(len(content["poses"])):
            _, _, joints49 = world_vertices(content, person, models)
            world = joints49.double().numpy()[:, order] + content["trans"][person][:, None]
            for frame in np.flatnonzero(content["campose_valid"][person]):
                camera = content["cam_poses"][frame]
                rays = (world[frame] @ camera[:3, :3].T + camera[:3, 3]) @ content["cam_intrinsics"].T
                x, y, score = content["poses2d"][person][frame]
                found = score > 0
                np.testing.assert_allclose(
                    np.stack([x, y], 1)[found], (rays[:, :2] / rays[:, 2:])[found], atol=1e-2
                )
                assert (np.stack([x, y])[:, ~found] == 0).all()
                n_found, n_missed = n_found + found.sum(), n_missed + (~found).sum()
    assert n_found > 100
    assert n_missed > 20


def test_people_stand_on_the_floor_and_upright(sequences, models):
    for content in sequences.values():
        for person in range(len(content["poses"])):
            vertices, joints24, _ = world_vertices(content, person, models)
            np.testing.assert_allclose(vertices[..., 1].min(1), 0, atol=1e-5)
            assert (joints24[:, 12, 1] > joints24[:, 0, 1]).all(), "the neck is above the pelvis"


def test_the_reader_knows_the_same_people_by_the_same_ids(pw3d, sequences):
    source = Pw3dSource(reader="pw3d", raw="", subset="test", box_factor=1.2)
    counts = ReadCounts()
    read = [record.id for record in read_pw3d(pw3d.out, "pw3d_test", source, False, counts)]
    truth = list(load_truth(pw3d.truth)["id"])
    assert read == truth
    n_invalid = sum((content["campose_valid"][0] == 0).sum() for content in sequences.values())
    assert n_invalid > 0
    pattern = r"pw3d_test/imageFiles/\w+/image_\d{5}\.jpg#[01]"
    assert all(re.fullmatch(pattern, key) for key in read)


def test_another_subset_has_its_folder_and_its_split(run_pw3d):
    mirror = run_pw3d(subset="validation", n_sequences=1, n_frames=2, invalid_camera=0.0)
    source = Pw3dSource(reader="pw3d", raw="", subset="validation", box_factor=1.2)
    read = [record.id for record in read_pw3d(mirror.out, "pw3d_validation", source, False, ReadCounts())]
    assert read
    assert read == load_truth(mirror.truth)["id"].tolist()


NUMBERS = st_numpy.arrays(
    st.sampled_from([np.dtype("<f8"), np.dtype("<i8"), np.dtype("<f4"), np.dtype("<i4")]),
    st_numpy.array_shapes(min_dims=1, max_dims=3),
    elements=st.integers(-1000, 1000),
)
TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=300)


@given(arrays=st.lists(NUMBERS), text=TEXT, number=st.integers(-(2**31), 2**31 - 1))
def test_what_is_pickled_comes_back(arrays, text, number):
    back = pickle.loads(dumps_python2({"arrays": arrays, "text": text, "n": number}), encoding="latin1")
    assert (back["text"], back["n"]) == (text, number)
    assert len(back["arrays"]) == len(arrays)
    for found, given_array in zip(back["arrays"], arrays, strict=True):
        np.testing.assert_array_equal(found, given_array)
        assert found.dtype == given_array.dtype


def test_a_column_ordered_array_comes_back():
    array = np.arange(12.0).reshape(3, 4).T
    np.testing.assert_array_equal(pickle.loads(dumps_python2([array]), encoding="latin1")[0], array)


def test_only_byte_strings_and_old_names_are_written():
    content = dumps_python2({"sequence": "square_walking_00", "poses": [np.zeros((2, 72))]})
    codes = [(code.name, argument) for code, argument, _ in pickletools.genops(content)]
    assert codes[0] == ("PROTO", 2)
    assert not {name for name, _ in codes} & {"BINUNICODE", "SHORT_BINBYTES", "BINBYTES"}
    names = {argument for name, argument in codes if name == "GLOBAL"}
    assert names == {"numpy.core.multiarray _reconstruct", "numpy ndarray", "numpy dtype"}


def test_the_safe_reader_accepts_it(tmp_path):
    path = tmp_path / "sequence.pkl"
    path.write_bytes(dumps_python2({"poses": [np.ones((3, 72))], "genders": ["m"]}))
    content = load_pickle(path, "")
    assert content["genders"] == ["m"]
    assert content["poses"][0].sum() == 216


def test_other_things_are_refused():
    with pytest.raises(TypeError):
        dumps_python2({"x": 1.5})
