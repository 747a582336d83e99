import dataclasses

import numpy as np
import pytest

from spinloop.body.files import BodyFile, load_body, save_body
from spinloop.errors import UserError


@pytest.fixture(scope="session")
def body_path(random_body, tmp_path_factory):
    path = tmp_path_factory.mktemp("body") / "neutral.npz"
    save_body(path, random_body)
    return path


def _broken(body_path, tmp_path, **changes):
    with np.load(body_path) as archive:
        arrays = {key: archive[key] for key in archive.files}
    arrays |= {key: value for key, value in changes.items() if value is not None}
    for key in [key for key, value in changes.items() if value is None]:
        del arrays[key]
    path = tmp_path / "broken.npz"
    np.savez(path, **arrays)
    return path


def test_what_was_saved_is_loaded(body_path, random_body):
    loaded = load_body(body_path)
    for field in dataclasses.fields(BodyFile):
        np.testing.assert_array_equal(
            getattr(loaded, field.name), getattr(random_body, field.name), err_msg=field.name
        )
    assert loaded.v_template.dtype == np.float32
    assert loaded.gender == "neutral"


def test_saving_twice_gives_the_same_bytes(body_path, random_body, tmp_path):
    save_body(tmp_path / "again.npz", random_body)
    assert (tmp_path / "again.npz").read_bytes() == body_path.read_bytes()


def test_an_unsigned_root_parent_is_minus_one(body_path, tmp_path, random_body):
    table = random_body.kintree_table.copy().astype(np.int64)
    table[0, 0] = 2**32 - 1
    loaded = load_body(_broken(body_path, tmp_path, kintree_table=table))
    assert loaded.parents[0] == loaded.kintree_table[0, 0] == -1


def test_more_shape_directions_are_cut_to_ten(body_path, tmp_path, random_body):
    wide = np.concatenate([random_body.shapedirs, random_body.shapedirs], axis=2)
    assert load_body(_broken(body_path, tmp_path, shapedirs=wide)).shapedirs.shape == (6890, 3, 10)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": None}, "weights: missing"),
        ({"v_template": np.zeros((100, 3))}, r"v_template: expected shape \(6890, 3\), found \(100, 3\)"),
        ({"v_template": np.full((6890, 3), np.nan)}, "v_template: not all entries are finite"),
        ({"J_regressor": np.zeros((24, 6890))}, "J_regressor: row 0 sums to 0.000, not 1"),
        ({"weights": np.ones((6890, 24))}, "weights: rows must be non-negative and sum to one"),
        ({"kintree_table": np.zeros((2, 24), int)}, "kintree_table: not SMPL's tree"),
        ({"f": np.full((6888, 3), 6890)}, "f: a triangle has a vertex outside"),
        ({"part_labels": np.zeros(6888, np.uint8)}, "part_labels: expected 1–6"),
        ({"part_labels": np.ones(7, np.uint8)}, "part_labels: expected shape"),
        ({"gender": "robot"}, "gender: expected one of neutral, female, male, found 'robot'"),
        ({"shapedirs": np.zeros((6890, 3, 4))}, r"shapedirs: expected shape \(6890, 3, 10\)"),
    ],
)
def test_a_wrong_array_is_named(body_path, tmp_path, changes, message):
    path = _broken(body_path, tmp_path, **changes)
    with pytest.raises(UserError, match=message) as caught:
        load_body(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_absent_file_is_named_with_the_cure(tmp_path):
    with pytest.raises(UserError, match=r"neutral\.npz: no such file; remake it"):
        load_body(tmp_path / "neutral.npz")


@pytest.mark.parametrize("size", [0, 30, 5000])
def test_a_truncated_file_is_one_line(body_path, tmp_path, size):
    path = tmp_path / "short.npz"
    path.write_bytes(body_path.read_bytes()[:size])
    with pytest.raises(UserError, match=r"short\.npz: not a readable npz") as caught:
        load_body(path)
    assert "\n" not in str(caught.value)


def test_a_pickled_array_is_refused(body_path, tmp_path):
    path = _broken(body_path, tmp_path, v_template=np.array([{"a": 1}], dtype=object))
    with pytest.raises(UserError, match=r"v_template: not an array .pickled objects"):
        load_body(path)
