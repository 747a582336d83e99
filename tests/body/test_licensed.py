"""Which licence-bound files a user has."""

import pickle
import shutil

import numpy as np
import pytest

from spinloop.body.licensed import body_files, file_by_name, find_licensed
from spinloop.body.smpl import SPIN_FILES
from spinloop.errors import UserError
from spinloop.stages import doctor


@pytest.fixture
def home(tmp_path, smpl_folder):
    """A user's folder: a neutral body, a damaged female one, two of SPIN's files."""
    folder = tmp_path / "raw"
    (folder / "smpl").mkdir(parents=True)
    (folder / "smpl" / "SMPL_NEUTRAL.pkl").write_bytes(pickle.dumps(smpl_folder.arrays, protocol=2))
    (folder / "smpl" / "SMPL_FEMALE.pkl").write_bytes(b"\x80\x02}q")
    for name in SPIN_FILES[:2]:
        shutil.copy(smpl_folder.regressors / name, folder)
    return folder


def test_files_are_found_missing_or_faulty(home):
    findings = {finding.file.name: finding for finding in find_licensed(home, body_files())}
    states = {name: finding.state for name, finding in findings.items()}
    assert states == {
        "SMPL neutral": "found",
        "SMPL female": "faulty",
        "SMPL male": "missing",
        "J_regressor_extra.npy": "found",
        "J_regressor_h36m.npy": "found",
        "vertex_texture.npy": "missing",
        "cube_parts.npy": "missing",
    }
    assert findings["SMPL neutral"].detail.endswith("SMPL_NEUTRAL.pkl")
    assert "not a readable pickle" in findings["SMPL female"].detail
    assert "smpl.is.tue.mpg.de" in findings["SMPL male"].detail


def test_every_file_says_what_it_enables_and_where_it_is_obtained():
    assert all(file.enables and file.obtained for file in body_files())


def test_the_command_prints_each_file_once_and_changes_nothing(home, capsys):
    before = sorted((path, path.stat().st_mtime_ns) for path in home.rglob("*"))
    np.savez(home / "gmm.npz", means=np.zeros(3))
    (home / "gmm.npz").unlink()
    doctor.run(folder=home)
    printed = capsys.readouterr().out
    for name in ("SMPL male", "gmm_08.pkl", "smpl_mean_params.npz", "model_checkpoint.pt"):
        assert printed.count(name) >= 1
    assert "3 of 10 found" in printed
    assert before == sorted((path, path.stat().st_mtime_ns) for path in home.rglob("*"))


def test_an_absent_folder_is_named(tmp_path):
    with pytest.raises(UserError, match="absent: no such folder"):
        find_licensed(tmp_path / "absent", [file_by_name("a.npy", "b")])


def test_a_truncated_mean_is_faulty(home, capsys):
    home = home.rename(home.with_name("[red]"))
    np.savez(home / "whole.npz", pose=np.zeros(144), shape=np.zeros(10), cam=np.zeros(3))
    (home / "smpl_mean_params.npz").write_bytes((home / "whole.npz").read_bytes()[:300])
    doctor.run(folder=home)
    line = next(line for line in capsys.readouterr().out.splitlines() if "smpl_mean_params" in line)
    assert "faulty" in line
    assert "[red]/smpl_mean_params.npz: not a readable npz" in line
