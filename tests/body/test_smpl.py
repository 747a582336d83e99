import pickle

import numpy as np
import pytest
from scipy import sparse

from spinloop.body.files import load_body, save_body
from spinloop.body.smpl import (
    REGRESSED_JOINTS,
    convert_folder,
    convert_smpl,
    find_smpl,
    gender_of,
    load_fittable_body,
    read_smpl,
    require_regressed_joints,
)
from spinloop.errors import UserError
from spinloop.joints import MODEL49, SMPL_PARENTS
from spinloop.stages import convert_body, prepare_body


@pytest.fixture
def write(tmp_path, smpl_folder):
    """Write an SMPL file; `changes` replaces arrays, None leaves one out."""

    def _write(name="SMPL_NEUTRAL.pkl", protocol=4, **changes):
        arrays = {key: value for key, value in (smpl_folder.arrays | changes).items() if value is not None}
        path = tmp_path / name
        if path.suffix == ".npz":
            np.savez(path, **arrays)
        else:
            path.write_bytes(pickle.dumps(arrays, protocol=protocol))
        return path

    return _write


@pytest.mark.parametrize("name", ["SMPL_NEUTRAL.pkl", "SMPL_NEUTRAL.npz"])
def test_a_file_becomes_a_body_with_spins_additions(write, smpl_folder, tmp_path, name):
    body = convert_smpl(write(name), None, smpl_folder.regressors)
    assert body.gender == "neutral"
    assert body.parents[:3] == (-1, 0, 0)
    np.testing.assert_allclose(body.v_template, smpl_folder.arrays["v_template"], rtol=1e-6)
    np.testing.assert_array_equal(body.part_labels, np.arange(13776) % 6 + 1)
    assert body.J_regressor_extra[2, 26] == 1
    save_body(tmp_path / "out.npz", body)
    np.testing.assert_array_equal(load_body(tmp_path / "out.npz").f, smpl_folder.arrays["f"])


def test_sparse_and_dense_regressors_and_300_shape_columns_are_the_same_body(write, smpl_folder):
    plain = convert_smpl(write(), None, smpl_folder.regressors)
    more = np.pad(smpl_folder.arrays["shapedirs"], ((0, 0), (0, 0), (0, 290)), constant_values=7)
    regressor = sparse.csc_matrix(smpl_folder.arrays["J_regressor"])
    path = write(shapedirs=more.astype(np.float32), J_regressor=regressor, protocol=2)
    other = convert_smpl(path, None, smpl_folder.regressors)
    np.testing.assert_array_equal(other.J_regressor, plain.J_regressor)
    np.testing.assert_array_equal(other.shapedirs, plain.shapedirs)


@pytest.mark.parametrize(
    ("name", "gender"),
    [
        ("SMPL_NEUTRAL.pkl", "neutral"),
        ("SMPL_FEMALE.npz", "female"),
        ("basicModel_neutral_lbs_10_207_0_v1.0.0.pkl", "neutral"),
        ("basicModel_f_lbs_10_207_0_v1.0.0.pkl", "female"),
        ("basicmodel_m_lbs_10_207_0_v1.1.0.pkl", "male"),
        ("model.pkl", None),
        ("SMPLX_NEUTRAL.pkl", None),
    ],
)
def test_names_tell_the_gender(tmp_path, name, gender):
    assert gender_of(tmp_path / name) == gender


def test_files_are_found_in_subfolders_and_smplx_names_come_first(tmp_path):
    for name in (
        "a/basicModel_f_lbs_10_207_0_v1.0.0.pkl",
        "b/SMPL_FEMALE.pkl",
        "b/SMPL_MALE.npz",
        "b/notes.pkl",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = {gender: path.name for gender, path in find_smpl(tmp_path).items()}
    assert found == {"female": "SMPL_FEMALE.pkl", "male": "SMPL_MALE.npz"}
    with pytest.raises(UserError, match="no such folder"):
        find_smpl(tmp_path / "absent")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": None}, "weights: missing or not an array"),
        ({"v_template": np.zeros((10475, 3))}, r"a file of SMPL-X, another model than SMPL"),
        ({"v_template": np.zeros((6891, 3))}, r"v_template: expected shape \(6890, 3\).* other models"),
        ({"J_regressor": np.zeros((55, 6890))}, "J_regressor: expected shape"),
        ({"posedirs": np.zeros((6890, 3, 9))}, "posedirs: expected shape"),
        ({"v_template": "text"}, "v_template: missing or not an array"),
    ],
)
def test_wrong_content_is_one_line(write, smpl_folder, changes, message):
    path = write(**changes)
    with pytest.raises(UserError, match=message) as caught:
        convert_smpl(path, None, smpl_folder.regressors)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)


@pytest.mark.parametrize("name", ["SMPL_NEUTRAL.pkl", "SMPL_NEUTRAL.npz"])
def test_a_truncated_file_is_one_line(write, name):
    path = write(name)
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(UserError, match=r"(damaged|not a readable)") as caught:
        read_smpl(path)
    assert "\n" not in str(caught.value)


def test_genders_that_contradict_each_other_are_refused(write, smpl_folder):
    path = write("SMPL_FEMALE.pkl")
    with pytest.raises(UserError, match="gender: male requested, female in its name"):
        convert_smpl(path, "male", smpl_folder.regressors)
    path = write("SMPL_FEMALE.npz", gender=np.array("male"))
    with pytest.raises(UserError, match="male in the file, female in its name"):
        convert_smpl(path, None, smpl_folder.regressors)
    with pytest.raises(UserError, match="gender unknown; give --gender"):
        convert_smpl(write("model.pkl"), None, smpl_folder.regressors)
    assert convert_smpl(write("model.pkl"), "male", smpl_folder.regressors).gender == "male"


def test_one_body_under_two_names_is_refused(write, tmp_path, smpl_folder):
    for gender in ("NEUTRAL", "FEMALE"):
        write(f"SMPL_{gender}.pkl")
    with pytest.raises(UserError, match=r"no male SMPL file"):
        convert_folder(tmp_path, smpl_folder.regressors)
    write("SMPL_MALE.pkl")
    with pytest.raises(UserError, match=r"SMPL_FEMALE\.pkl: the same body as .*SMPL_NEUTRAL\.pkl"):
        convert_folder(tmp_path, smpl_folder.regressors)
    shorter = smpl_folder.arrays["v_template"] * 0.99
    write("SMPL_FEMALE.pkl", v_template=shorter)
    write("SMPL_MALE.pkl", v_template=shorter * 0.99)
    assert set(convert_folder(tmp_path, smpl_folder.regressors)) == {"neutral", "female", "male"}


def test_the_command_writes_the_body(write, smpl_folder, tmp_path):
    out = tmp_path / "body" / "neutral.npz"
    convert_body.run(write(), out=out, regressors=smpl_folder.regressors)
    assert load_body(out).gender == "neutral"
    with pytest.raises(UserError, match="--gender: expected one of"):
        convert_body.run(write(), out=out, regressors=smpl_folder.regressors, gender="robot")


def test_a_lone_file_is_converted_and_fitted_but_not_scored(write, smpl_folder, tmp_path, capsys):
    out = tmp_path / "body.npz"
    convert_body.run(write(), out=out)
    said = " ".join(capsys.readouterr().err.split())
    assert "J_regressor_h36m.npy: not there; it would give the 17 joints of Human3.6M" in said
    fittable = load_fittable_body(out)
    assert not fittable.has_regressed_joints
    np.testing.assert_allclose(fittable.body.v_template, smpl_folder.arrays["v_template"], rtol=1e-6)
    with pytest.raises(
        UserError, match=r"J_regressor_extra: missing; without J_regressor_extra\.npy .* fitted only"
    ):
        load_body(out)
    with pytest.raises(UserError, match=r"J_regressor_extra\.npy: no such file; unpack"):
        convert_body.run(write(), out=out, regressors=tmp_path)
    for name in ("J_regressor_extra.npy", "J_regressor_h36m.npy"):
        (tmp_path / name).symlink_to(smpl_folder.regressors / name)
    convert_body.run(write(), out=out)
    assert "vertex_texture.npy: not there; it would give body parts" in " ".join(
        capsys.readouterr().err.split()
    )
    assert load_fittable_body(out).has_regressed_joints
    with pytest.raises(UserError, match="part_labels: missing; without vertex_texture"):
        load_body(out)


def test_objects_beside_the_arrays_of_an_npz_are_not_opened(write, smpl_folder):
    beside = {
        "J": np.array({}, dtype=object),
        "bs_style": np.array("lbs", dtype=object),
        "gender": np.array(None),
    }
    body = convert_smpl(write("SMPL_MALE.npz", **beside), None, smpl_folder.regressors)
    assert body.gender == "male"
    regressor = np.array(sparse.csc_matrix(smpl_folder.arrays["J_regressor"]), dtype=object)
    path = write("SMPL_MALE.npz", J_regressor=regressor)
    with pytest.raises(UserError, match=r"J_regressor.*save its arrays alone, e\.g\. np\.savez"):
        convert_smpl(path, None, smpl_folder.regressors)


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"v_template": np.zeros((10475, 3)), "posedirs": None}, "SMPL-X"),
        ({"weights": np.zeros((6890, 52)), "J_regressor": np.zeros((52, 6890))}, "SMPL-H"),
        ({"v_template": np.zeros((778, 3))}, "MANO"),
    ],
)
@pytest.mark.parametrize("suffix", ["pkl", "npz"])
def test_files_of_other_models_are_named(write, smpl_folder, changes, kind, suffix):
    path = write(f"SMPL_NEUTRAL.{suffix}", **changes)
    with pytest.raises(
        UserError, match=f"this is a file of {kind}, another model than SMPL; get SMPL_NEUTRAL"
    ):
        convert_smpl(path, None, smpl_folder.regressors)


BODY_PARAMS = """body:
  source: smpl
  smpl_folder: {folder}
  engine: spinloop
  seed: 0
  n_bodies: 300
  n_rig_bodies: 100
  n_held_out: 40
  youngest_years: 18.0
  oldest_years: 80.0
"""


def test_real_smpl_takes_the_place_of_the_free_body(write, smpl_folder, tmp_path):
    for size, gender in ((1.0, "NEUTRAL"), (0.98, "FEMALE"), (1.02, "MALE")):
        write(f"SMPL_{gender}.pkl", v_template=size * smpl_folder.arrays["v_template"])
    for path in smpl_folder.regressors.iterdir():
        (tmp_path / path.name).symlink_to(path)
    params = tmp_path / "params.yaml"
    params.write_text(BODY_PARAMS.format(folder=tmp_path))
    prepare_body.run(out=tmp_path / "out", report=tmp_path / "body.json", params=params)
    for gender in ("neutral", "female", "male"):
        assert load_body(tmp_path / "out" / f"{gender}.npz").gender == gender
    assert (tmp_path / "body.json").read_text() == '{\n  "source": "smpl"\n}\n'


def test_a_missing_folder_of_smpl_files_is_named(tmp_path):
    params = tmp_path / "params.yaml"
    for folder, message in (("null", r"body\.smpl_folder: missing"), (tmp_path / "absent", "no such folder")):
        params.write_text(BODY_PARAMS.format(folder=folder))
        with pytest.raises(UserError, match=message):
            prepare_body.run(out=tmp_path, report=tmp_path / "r.json", params=params)


FITTED_KEYS = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights")


@pytest.fixture(scope="module")
def golden_arrays(golden):
    """What an SMPL file holds, the root's parent as SMPL writes it."""
    tree = np.array([SMPL_PARENTS, range(24)])
    tree[0, 0] = 2**32 - 1
    faces = np.arange(13776 * 3).reshape(-1, 3).astype(np.uint32) % 6890
    return {key: getattr(golden.body, key) for key in FITTED_KEYS} | {"kintree_table": tree, "f": faces}


def test_a_body_to_fit_is_read_from_a_pickle_without_running_it(golden_arrays, golden, tmp_path):
    path = tmp_path / "SMPL_FEMALE.pkl"
    path.write_bytes(pickle.dumps(golden_arrays, protocol=2))
    found = load_fittable_body(path)
    assert found.body.gender == "female"
    assert not found.has_regressed_joints
    np.testing.assert_array_equal(found.body.shapedirs, golden.body.shapedirs)
    path.write_bytes(pickle.dumps({**golden_arrays, "f": print}, protocol=2))
    with pytest.raises(UserError, match="print"):
        load_fittable_body(path)


def test_the_regressor_in_the_file_itself_is_used(golden_arrays, golden, tmp_path):
    extra = golden.body.J_regressor_extra
    np.savez(tmp_path / "own.npz", **golden_arrays, J_regressor_extra=extra)
    found = load_fittable_body(tmp_path / "own.npz")
    assert found.has_regressed_joints
    np.testing.assert_array_equal(found.body.J_regressor_extra, extra)


def test_without_a_regressor_only_its_joints_are_refused(golden_arrays, tmp_path):
    path = tmp_path / "plain.npz"
    np.savez(path, **golden_arrays)
    found, seen = load_fittable_body(path), np.zeros((2, 49), bool)
    seen[:, :25] = True
    require_regressed_joints(path, found, seen)
    seen[1, MODEL49.index("head_top_lsp")] = True
    with pytest.raises(UserError, match=r"head_top_lsp.*J_regressor_extra\.npy"):
        require_regressed_joints(path, found, seen)


def test_the_regressed_joints_are_those_of_spins_file():
    names = {MODEL49[joint] for joint in REGRESSED_JOINTS}
    assert names == {
        "right_hip", "left_hip", "neck_lsp", "head_top_lsp", "pelvis_mpii", "thorax_mpii", "spine_h36m",
        "jaw_h36m", "head_h36m",
    }  # fmt: skip


@pytest.mark.parametrize("key", ["weights", "kintree_table", "J_regressor"])
def test_a_missing_array_of_a_body_to_fit_is_named(golden_arrays, tmp_path, key):
    path = tmp_path / "body.npz"
    np.savez(path, **{name: array for name, array in golden_arrays.items() if name != key})
    with pytest.raises(UserError, match=key):
        load_fittable_body(path)
