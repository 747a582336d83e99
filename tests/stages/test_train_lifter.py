"""The lifter's stage: a stopped run resumes and writes the same file."""

import json
import shutil

import pytest
from ruamel.yaml import YAML

from spinloop.errors import UserError
from spinloop.lifting.network import load_lifter
from spinloop.lifting.training import LifterTraining
from spinloop.params.loader import load_yaml
from spinloop.stages import train_lifter


@pytest.fixture
def toy(world, repository):
    """The stage's arguments with the toy's parameters."""
    params = repository / "tests/pipeline/params_toy.yaml"
    assert load_yaml(params)["lifter"]["n_steps"] == 6
    return {"body": world / "body.npz", "prior": world / "prior.npz", "params": params}


def _outputs(folder):
    return {"out": folder / "lifter.pt", "metrics": folder / "lifter.json", "state": folder / ".state"}


def test_a_stopped_run_resumes_and_writes_the_same_file(toy, tmp_path, monkeypatch):
    # The golden prior's poses are none that a person takes; any will do here.
    monkeypatch.setattr("spinloop.motion.mixture.is_plausible", lambda poses: poses[:, 0] < 1e9)
    train_lifter.run(**toy, **_outputs(tmp_path / "whole"))
    real, stopped_at = LifterTraining.batch, 5

    def stop(self, stream, number, n):
        if (stream, number) == (0, stopped_at):
            raise KeyboardInterrupt
        return real(self, stream, number, n)

    outputs = _outputs(tmp_path / "stopped")
    monkeypatch.setattr(LifterTraining, "batch", stop)
    with pytest.raises(KeyboardInterrupt):
        train_lifter.run(**toy, **outputs)
    assert not outputs["out"].exists()
    path = tmp_path / "params.yaml"
    longer = load_yaml(toy["params"])
    longer["lifter"].update(n_steps=7, checkpoint_every=50)
    YAML(typ="safe").dump(longer, path)
    shutil.copytree(outputs["state"], tmp_path / "other_state")
    reason = r"other values: lifter\.n_steps: 6 → 7 \(the learning rate of every step was planned .*old-1"
    with pytest.raises(UserError, match=reason):
        train_lifter.run(**{**toy, **outputs, "params": path, "state": tmp_path / "other_state"})
    seen = []
    monkeypatch.setattr(LifterTraining, "batch", lambda self, *a: (seen.append(a[:2]), real(self, *a))[1])
    train_lifter.run(**toy, **outputs)
    assert seen == [(0, 3), (0, 4), (0, 5), (1, 0)]
    assert outputs["out"].read_bytes() == (tmp_path / "whole/lifter.pt").read_bytes()
    assert not any(outputs["state"].rglob("*.pt"))
    load_lifter(outputs["out"])
    metrics = json.loads(outputs["metrics"].read_text())
    assert metrics["pa_mpjpe_mm"] > 0
