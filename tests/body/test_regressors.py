import numpy as np
import pytest

from spinloop.body.regressors import load_array, load_part_labels, load_regressor
from spinloop.errors import UserError
from spinloop.joints import EXTRA9, H36M17


@pytest.fixture
def body(smpl_folder):
    template = smpl_folder.arrays["v_template"]
    return template, smpl_folder.arrays["J_regressor"] @ template


def _save(tmp_path, array):
    np.save(tmp_path / "J.npy", array)
    return tmp_path / "J.npy"


@pytest.mark.parametrize(("name", "rows"), [("extra", EXTRA9), ("h36m", H36M17)])
def test_spins_files_are_read(smpl_folder, body, name, rows):
    matrix = load_regressor(smpl_folder.regressors / f"J_regressor_{name}.npy", rows, *body)
    assert matrix.shape == (len(rows), 6890)
    assert matrix.dtype == np.float32


def test_the_order_of_other_projects_is_refused(smpl_folder, body, tmp_path):
    matrix = np.load(smpl_folder.regressors / "J_regressor_h36m.npy")
    right_leg_first = matrix[[0, 4, 5, 6, 1, 2, 3, *range(7, 17)]]
    with pytest.raises(UserError, match="row 1 should be the left_hip but lies at the right_hip"):
        load_regressor(_save(tmp_path, right_leg_first), H36M17, *body)


@pytest.mark.parametrize(("rows", "name"), [(EXTRA9, "extra"), (H36M17, "h36m")])
def test_any_two_limbs_or_heights_exchanged_are_found(smpl_folder, body, tmp_path, rows, name):
    matrix = np.load(smpl_folder.regressors / f"J_regressor_{name}.npy")
    # Too near each other to be told apart by place.
    close = [{"extra_thorax_mpii", "extra_neck_lsp"}, {"extra_head_h36m", "extra_head_top_lsp"}]
    for one in range(len(rows)):
        for other in range(one):
            if {rows[one], rows[other]} in close:
                continue
            swapped = matrix.copy()
            swapped[[one, other]] = matrix[[other, one]]
            with pytest.raises(UserError, match="another order of rows"):
                load_regressor(_save(tmp_path, swapped), rows, *body)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((14, 6890)), r"expected numbers of shape \(9, 6890\), found \(14, 6890\)"),
        (np.zeros((9, 6890)), "row 0 does not sum to 1"),
        (np.full((9, 6890), np.nan), "expected numbers of shape"),
        (np.array(["a"]), "not an array of numbers"),
    ],
)
def test_a_wrong_array_is_one_line(body, tmp_path, array, message):
    with pytest.raises(UserError, match=message):
        load_regressor(_save(tmp_path, array), EXTRA9, *body)


def test_absent_truncated_and_pickled_files_are_one_line(tmp_path):
    with pytest.raises(UserError, match="no such file; take it from SPIN's data archive"):
        load_array(tmp_path / "J.npy")
    path = _save(tmp_path, np.zeros((9, 6890)))
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match="not a readable npy"):
        load_array(path)
    np.save(tmp_path / "p.npy", np.array([{}], dtype=object))
    with pytest.raises(UserError, match="not a readable npy"):
        load_array(tmp_path / "p.npy")


def test_part_labels_follow_the_published_lookup(smpl_folder):
    folder = smpl_folder.regressors
    labels = load_part_labels(folder / "vertex_texture.npy", folder / "cube_parts.npy", 13776)
    np.testing.assert_array_equal(labels, np.arange(13776) % 6 + 1)


def test_a_colour_without_a_part_is_refused(smpl_folder, tmp_path):
    folder = smpl_folder.regressors
    np.save(tmp_path / "cube_parts.npy", np.zeros((100, 92, 17)))
    with pytest.raises(UserError, match=r"cube_parts\.npy: a face without one of the parts"):
        load_part_labels(folder / "vertex_texture.npy", tmp_path / "cube_parts.npy", 13776)
    with pytest.raises(UserError, match=r"vertex_texture\.npy: expected shape \(1, 20"):
        load_part_labels(folder / "vertex_texture.npy", folder / "cube_parts.npy", 20)
