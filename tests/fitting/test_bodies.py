"""Bodies as users have them: SMPL's own format, with and without SPIN's regressors."""

import pickle

import numpy as np
import pytest

from spinloop.body.users import REGRESSED_JOINTS, load_users_body, refuse_regressed_joints
from spinloop.errors import UserError
from spinloop.joints import MODEL49, SMPL_PARENTS

KEYS = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights")


@pytest.fixture(scope="module")
def arrays(golden):
    """What an SMPL file holds, the root's parent as SMPL writes it."""
    tree = np.array([SMPL_PARENTS, range(24)])
    tree[0, 0] = 2**32 - 1
    faces = np.arange(13776 * 3).reshape(-1, 3).astype(np.uint32) % 6890
    return {key: getattr(golden.body, key) for key in KEYS} | {"kintree_table": tree, "f": faces}


def test_a_pickle_is_read_without_running_it(arrays, golden, tmp_path):
    path = tmp_path / "SMPL_FEMALE.pkl"
    path.write_bytes(pickle.dumps(arrays, protocol=2))
    found = load_users_body(path)
    assert found.body.gender == "female"
    assert not found.has_regressed_joints
    np.testing.assert_array_equal(found.body.shapedirs, golden.body.shapedirs)
    path.write_bytes(pickle.dumps({**arrays, "f": print}, protocol=2))
    with pytest.raises(UserError, match="print"):
        load_users_body(path)


def test_the_files_own_regressor_is_taken(arrays, golden, tmp_path):
    extra = golden.body.J_regressor_extra
    np.savez(tmp_path / "own.npz", **arrays, J_regressor_extra=extra)
    found = load_users_body(tmp_path / "own.npz")
    assert found.has_regressed_joints
    np.testing.assert_array_equal(found.body.J_regressor_extra, extra)


def test_without_a_regressor_only_its_joints_are_refused(arrays, tmp_path):
    path = tmp_path / "plain.npz"
    np.savez(path, **arrays)
    found, seen = load_users_body(path), np.zeros((2, 49), bool)
    seen[:, :25] = True
    refuse_regressed_joints(path, found, seen)
    seen[1, MODEL49.index("head_top_lsp")] = True
    with pytest.raises(UserError, match=r"head_top_lsp.*J_regressor_extra\.npy"):
        refuse_regressed_joints(path, found, seen)


def test_the_regressed_joints_are_those_of_spins_file():
    names = {MODEL49[joint] for joint in REGRESSED_JOINTS}
    assert names == {
        "right_hip", "left_hip", "neck_lsp", "head_top_lsp", "pelvis_mpii", "thorax_mpii", "spine_h36m",
        "jaw_h36m", "head_h36m",
    }  # fmt: skip


@pytest.mark.parametrize("key", ["weights", "kintree_table", "J_regressor"])
def test_a_missing_array_is_named(arrays, tmp_path, key):
    path = tmp_path / "body.npz"
    np.savez(path, **{name: array for name, array in arrays.items() if name != key})
    with pytest.raises(UserError, match=key):
        load_users_body(path)
