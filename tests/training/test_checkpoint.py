import pytest
import torch

from spinloop.errors import UserError
from spinloop.training.checkpoint import Checkpoint


def test_state_comes_back_as_it_was_saved(tmp_path):
    state = {"step": 3, "weights": torch.randn(4), "rows": [{"total": 0.1}]}
    Checkpoint(tmp_path / "run", "made").save(state)
    loaded = Checkpoint(tmp_path / "run", "made").load()
    assert loaded is not None
    assert torch.equal(loaded.pop("weights"), state.pop("weights"))
    assert loaded == state


def test_state_of_another_run_is_not_used(tmp_path):
    Checkpoint(tmp_path / "run", "made").save({"step": 3})
    assert Checkpoint(tmp_path / "run", "otherwise").load() is None
    assert not (tmp_path / "run").exists()


def test_damaged_state_says_what_to_delete(tmp_path):
    Checkpoint(tmp_path / "run", "made").save({"step": 3})
    path = tmp_path / "run" / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match=r"not readable .*; delete .*run to train from the start"):
        Checkpoint(tmp_path / "run", "made").load()


def test_a_fresh_run_has_no_state(tmp_path):
    assert Checkpoint(tmp_path / "run", "made").load() is None
