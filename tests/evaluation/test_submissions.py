"""Other people's predictions: what is read, what is refused, and the scores."""

import json

import h5py
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from spinloop.errors import UserError
from spinloop.evaluation.protocols import find_joint_protocol
from spinloop.evaluation.submissions import load_submission, read_submitted, score_submission
from spinloop.evaluation.submitted import JOINT_SETS, Declared
from spinloop.joints import H36M17, PROTOCOL17, SMPL24
from spinloop.stages import score as stage

IDS = [f"toy/{number}.jpg#0" for number in range(40)]


def _save(path, **arrays):
    np.savez(path, **{name: np.asarray(value) for name, value in arrays.items()})
    return path


@pytest.fixture
def files(tmp_path, people):
    given = {"p.npz": people[0], "t.npz": people[1]}
    return tuple(_save(tmp_path / name, ids=IDS, joints=joints) for name, joints in given.items())


def _scored(name, predictions, truth):
    return score_submission(find_joint_protocol(name), load_submission(predictions, truth, {}))


@pytest.mark.parametrize("name", ["pw3d@1", "h36m_p1@1", "h36m_p2@1", "mpi_inf_3dhp@1"])
def test_truth_as_prediction_is_perfect(name, files):
    scores = _scored(name, files[1], files[1])
    for metric, values in scores.values.items():
        perfect = {"pck_percent": 100.0, "auc_percent": 3000 / 31}.get(metric.removeprefix("pa_"), 0.0)
        np.testing.assert_allclose(values, perfect, rtol=1e-12, atol=0, err_msg=metric)


def test_rows_are_joined_by_id_whatever_their_order(files, tmp_path, people):
    order = np.random.default_rng(0).permutation(40)
    shuffled = _save(tmp_path / "s.npz", ids=np.array(IDS)[order], joints=people[0][order])
    one, other = (_scored("h36m_p1@1", path, files[1]) for path in (files[0], shuffled))
    np.testing.assert_array_equal(one.values["mpjpe_mm"], other.values["mpjpe_mm"])


def test_named_joints_may_come_in_any_order_and_hdf5(files, tmp_path, people):
    rows = [H36M17.index(name) for name in PROTOCOL17[::-1]]
    path = tmp_path / "named.h5"
    with h5py.File(path, "w") as file:
        file["ids"], file["joints"] = IDS, people[0][:, rows]
        file["joint_names"] = list(PROTOCOL17[::-1])
    one, other = (_scored("mpi_inf_3dhp@1", each, files[1]) for each in (files[0], path))
    np.testing.assert_allclose(one.values["pck_percent"], other.values["pck_percent"])


def test_a_body_is_scored_by_its_mesh_too(body_files, bodies, truth, tmp_path):
    arrays = {"pose": truth.pose, "betas": truth.betas}
    path = _save(tmp_path / "bodies.npz", ids=truth.ids, gender=["neutral"] * 12, **arrays)
    scores = score_submission(find_joint_protocol("pw3d@1"), load_submission(path, path, body_files))
    assert set(scores.values) == {"pa_mpjpe_mm", "mpjpe_mm", "pve_mm"}
    assert all((values == 0.0).all() for values in scores.values.values()), "the truth itself has no error"
    with pytest.raises(UserError, match=r"--body-neutral: pw3d@1 needs it"):
        score_submission(find_joint_protocol("pw3d@1"), load_submission(path, path, {}))


def test_joints_and_a_body_in_one_file_are_both_scored(body_files, bodies, truth, tmp_path, people):
    arrays = {"pose": truth.pose, "betas": truth.betas}
    body = _save(tmp_path / "body.npz", ids=truth.ids, gender=["neutral"] * 12, **arrays)
    both = _save(tmp_path / "both.npz", ids=truth.ids, joints=people[0][:12], **arrays)
    protocol = find_joint_protocol("pw3d@1")
    scores = score_submission(protocol, load_submission(both, body, body_files))
    own = score_submission(protocol, load_submission(body, body, body_files))
    assert set(scores.values) == set(own.values)
    assert scores.values["mpjpe_mm"].min() > 100.0, "the joints are the file's, not the body's"


def _change(arrays, **changes):
    return {**arrays, **changes}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda ids, x: (ids[:-1], x[:-1]), r"p\.npz: toy/39\.jpg#0: missing \(1 of 40\); predict all of"),
        (lambda ids, x: ([*ids, "toy/x#0"], np.concatenate([x, x[:1]])), r"toy/x#0: not in .*\(1 too many\)"),
        (lambda ids, x: ([*ids[:-1], ids[3]], x), r"toy/3\.jpg#0: this id occurs twice; keep one row"),
        (lambda ids, x: (ids, x[:, :14]), r"toy/0\.jpg#0: joints: expected 17 × 3 numbers, found 14 × 3"),
        (lambda ids, x: (ids, np.where(np.arange(40)[:, None, None] == 7, np.nan, x)),
         r"toy/7\.jpg#0: joints: not all numbers are finite \(1 people\); give an estimate"),
        (lambda ids, x: (ids, 1000 * x), r"toy/0\.jpg#0: joints: \d+ m from their middle; .* divide by 1000"),
        (lambda ids, x: (ids[:-1], x), r"joints: expected a row of numbers for each of 39 ids"),
        (lambda ids, x: ([], x[:0]), r"p\.npz: ids: nobody in the file; give at least one person"),
        (lambda ids, x: ("toy", x), r"p\.npz: ids: expected a list of words, found .* of shape \(\)"),
    ],
)  # fmt: skip
def test_bad_files_are_refused_with_the_first_id_and_the_fix(change, message, files, people, tmp_path):
    ids, joints = change(IDS, people[0])
    _save(files[0], ids=ids, joints=joints)
    with pytest.raises(UserError, match=message):
        load_submission(*files, {})


def _camera_bodies(rng):
    """People as `score` expects them: legs below and arms above, left and right apart."""
    base = np.zeros((17, 3))
    for row, name in enumerate(H36M17):
        side = 1 if name.startswith("left") else -1 if name.startswith("right") else 0
        height = {"ankle": 0.9, "knee": 0.45, "hip": 0.0, "wrist": -0.1, "elbow": -0.3, "shoulder": -0.5}
        base[row] = [0.2 * side, height.get(name.rpartition("_")[2], -0.1 * row), 0.0]
    return base + rng.normal(0, 0.08, (40, 17, 3))


def test_swapped_sides_and_other_axes_are_measured_and_cured_by_declaring_them(tmp_path, rng, capsys):
    true = _camera_bodies(rng)
    truth = _save(tmp_path / "t.npz", ids=IDS, joints=true)
    rows = [H36M17.index(n) for n in JOINT_SETS["h36m17_right_leg_first"]]
    for name, changed, option, declared in (
        ("legs", true[:, rows], "--joints h36m17_right_leg_first", Declared(joints="h36m17_right_leg_first")),
        ("up", true * [1, -1, -1], "--axes y-up", Declared(axes="y-up")),
        ("z", true[..., [0, 2, 1]] * [1, 1, -1], "--axes z-up", Declared(axes="z-up")),
    ):
        path = _save(tmp_path / f"{name}.npz", ids=IDS, joints=changed)
        _scored("pw3d@1", path, truth)
        assert f"would be 0 mm with `{option}`" in " ".join(capsys.readouterr().err.split())
        scores = score_submission(
            find_joint_protocol("pw3d@1"), load_submission(path, truth, {}, declared=declared)
        )
        np.testing.assert_allclose(scores.values["mpjpe_mm"], 0, atol=1e-6)
        assert not capsys.readouterr().err


@pytest.mark.parametrize(("unit", "factor", "word"), [("mm", 1000, "milli"), ("cm", 100, "centi")])
def test_units_are_seen_and_declared(files, people, unit, factor, word, tmp_path):
    path = _save(tmp_path / "u.npz", ids=IDS, joints=factor * (people[0] - people[0].mean(1, keepdims=True)))
    with pytest.raises(
        UserError, match=f"look like {word}metres, divide by {factor} or declare --units {unit}"
    ):
        load_submission(path, files[1], {})
    one, other = (
        score_submission(
            find_joint_protocol("pw3d@1"), load_submission(name, files[1], {}, declared=declared)
        )
        for name, declared in ((files[0], None), (path, Declared(units=unit)))
    )
    np.testing.assert_allclose(one.values["mpjpe_mm"], other.values["mpjpe_mm"])
    with pytest.raises(UserError, match="--units: 'inch' is unknown; choose one of m, cm, mm"):
        Declared(units="inch")


def test_smpls_joints_have_a_protocol_of_their_own(body_files, bodies, truth, tmp_path):
    from spinloop.evaluation.truth import chain_joints

    joints = chain_joints(bodies, truth.pose, truth.betas, truth.genders)
    genders = ["neutral" if gender is None else gender[0] for gender in truth.genders]
    body = _save(tmp_path / "t.npz", ids=truth.ids, pose=truth.pose, betas=truth.betas, gender=genders)
    named = _save(tmp_path / "p.npz", ids=truth.ids, joints=joints[:, ::-1], joint_names=SMPL24[::-1])
    protocol = find_joint_protocol("smpl24@1")
    scores = score_submission(protocol, load_submission(named, body, body_files))
    np.testing.assert_allclose(scores.values["mpjpe_mm"], 0, atol=1e-3)
    with pytest.raises(UserError, match="smpl24@1, or give pose and betas"):
        score_submission(find_joint_protocol("pw3d@1"), load_submission(named, body, body_files))
    own = score_submission(protocol, load_submission(body, body, body_files))
    expected = chain_joints(bodies, truth.pose, truth.betas, [None] * 12)
    errors = 1000 * np.linalg.norm((expected - expected[:, :1]) - (joints - joints[:, :1]), axis=-1)
    np.testing.assert_allclose(own.values["mpjpe_mm"], errors.mean(1), rtol=1e-4, atol=1e-2)


def test_poses_as_4d_humans_and_prohmr_store_them_are_the_same_bodies(truth, tmp_path):
    turns = Rotation.from_rotvec(truth.pose.reshape(-1, 3)).as_matrix().reshape(12, 24, 3, 3)
    for number, (root, rest) in enumerate(
        ((turns[:, :1], turns[:, 1:]), (truth.pose[:, :3], truth.pose[:, 3:]))
    ):
        path = _save(
            tmp_path / f"{number}.npz", ids=truth.ids, global_orient=root, body_pose=rest, betas=truth.betas
        )
        read = read_submitted(path)
        ours, theirs = (Rotation.from_rotvec(np.reshape(p, (-1, 3))) for p in (read.pose, truth.pose))
        assert np.degrees((ours.inv() * theirs).magnitude()).max() < 1e-4
    turns[3, 5] *= 1.2
    bad = _save(
        tmp_path / "b.npz",
        ids=truth.ids,
        global_orient=turns[:, :1],
        body_pose=turns[:, 1:],
        betas=truth.betas,
    )
    with pytest.raises(
        UserError, match=r"toy_test/d\.jpg#0: body_pose: the matrix of joint 4 is no rotation \(1"
    ):
        read_submitted(bad)
    short = _save(
        tmp_path / "s.npz",
        ids=truth.ids,
        global_orient=turns[:, :1],
        body_pose=turns[:, 1:22],
        betas=truth.betas,
    )
    with pytest.raises(UserError, match="21 joints are SMPL-H's or SMPL-X's"):
        read_submitted(short)


def test_genders_in_all_their_forms_are_one_of_three_words(tmp_path, truth):
    arrays = {"ids": truth.ids, "pose": truth.pose, "betas": truth.betas}
    given = ["f", "m", "FEMALE", "Male", "n", "neutral", "0", "1", "-1", "F", "M", "female"]
    read = read_submitted(_save(tmp_path / "g.npz", **arrays, gender=given))
    assert read.labels["gender"] == [
        "female", "male", "female", "male", "neutral", "neutral",
        "male", "female", "neutral", "female", "male", "female",
    ]  # fmt: skip
    with pytest.raises(UserError, match=r"toy_test/a\.jpg#0: gender: expected one of f, female.*found 'x'"):
        read_submitted(_save(tmp_path / "x.npz", **arrays, gender=["x", *given[1:]]))


def test_a_file_that_is_neither_joints_nor_body_is_refused(tmp_path):
    path = _save(tmp_path / "p.npz", ids=["a"], betas=np.zeros((1, 10)))
    with pytest.raises(UserError, match="neither joints nor pose and betas"):
        read_submitted(path)
    (tmp_path / "p.h5").write_text("text")
    with pytest.raises(UserError, match="not npz or HDF5"):
        read_submitted(tmp_path / "p.h5")


def test_the_command_scores_several_protocols_at_once(files, tmp_path, repository, capsys):
    out = tmp_path / "scores.json"
    names = ["h36m_p2@1", "mpi_inf_3dhp@1", "pw3d@1"]
    params = repository / "params.yaml"
    stage.run(protocol=names, predictions=files[0], truth=files[1], out=out, params=params)
    result = json.loads(out.read_text())["protocols"]
    assert list(result) == names
    expected = _scored("mpi_inf_3dhp@1", *files).values["pa_auc_percent"].mean()
    assert result["mpi_inf_3dhp@1"]["pa_auc_percent"] == pytest.approx(expected)
    assert "pve_mm" not in result["pw3d@1"]
    assert "not scored" in capsys.readouterr().out
