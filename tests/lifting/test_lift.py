"""The lifter in use, and its file."""

import pytest
import torch

from spinloop.errors import UserError
from spinloop.lifting.network import lift, load_lifter, save_lifter


@pytest.fixture
def keypoints() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(6, 49, 3, generator=generator) * torch.tensor([224.0, 224.0, 1.0])


def test_whatever_is_seen_the_answer_is_finite(learnt, keypoints):
    broken = keypoints.clone()
    broken[0] = torch.nan
    broken[1, :, 2] = 0
    broken[2, 3:, 2] = 0
    broken[3, :, :2] = 1e12
    broken[4, 5] = torch.inf
    broken[5, 6] = 1e30
    state = lift(learnt.network, broken)
    assert all(torch.isfinite(part).all() for part in state)
    assert (state.translation[:, 2] > 0).all()


def test_one_person_does_not_disturb_another(learnt, keypoints):
    broken = keypoints.clone()
    broken[2] = torch.nan
    whole = [0, 1, 3, 4, 5]
    for mine, theirs in zip(lift(learnt.network, keypoints), lift(learnt.network, broken), strict=True):
        torch.testing.assert_close(mine[whole], theirs[whole], atol=1e-5, rtol=1e-5)
    alone = lift(learnt.network, keypoints[4:5])
    for mine, theirs in zip(lift(learnt.network, keypoints), alone, strict=True):
        torch.testing.assert_close(mine[4:5], theirs, atol=1e-5, rtol=1e-5)


def test_a_saved_lifter_answers_the_same(learnt, keypoints, lifter_params, tmp_path):
    paths = [tmp_path / "a.pt", tmp_path / "b.pt"]
    for path in paths:
        save_lifter(path, learnt.network, lifter_params.network)
    again = load_lifter(paths[0])
    assert all(
        torch.equal(a, b)
        for a, b in zip(lift(learnt.network, keypoints), lift(again, keypoints), strict=True)
    )
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_files_that_are_no_lifters_are_refused(learnt, lifter_params, tmp_path):
    path = tmp_path / "lifter.pt"
    faults = {"no such file": None, "not readable": b"nonsense", "not a lifter": {"model": {}}}
    faults |= {r"the file is empty\); make it with": b""}
    good = {"lifter": learnt.network.state_dict(), "network": lifter_params.network.model_dump()}
    faults |= {
        "do not fit": {**good, "network": {"width": 16, "n_blocks": 1}},
        "network": {**good, "network": {"width": "wide", "n_blocks": 1}},
    }
    for message, content in faults.items():
        path.unlink(missing_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif content is not None:
            torch.save(content, path)
        with pytest.raises(UserError, match=message) as caught:
            load_lifter(path)
        assert "\n" not in str(caught.value)


def test_nothing_in_a_file_is_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (print, ("boom",))

    torch.save({"lifter": Bomb(), "network": {}}, tmp_path / "lifter.pt")
    with pytest.raises(UserError, match="plain weights"):
        load_lifter(tmp_path / "lifter.pt")
