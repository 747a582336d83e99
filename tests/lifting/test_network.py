"""The lifter: the frame of its keypoints, its predictions, and its file."""

import pytest
import torch

from spinloop.errors import UserError
from spinloop.geometry.camera import project
from spinloop.lifting.network import (
    decode_camera,
    encode_camera,
    encode_keypoints,
    frame_of,
    lift,
    load_lifter,
    save_lifter,
)


@pytest.fixture
def keypoints() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    pixels = 224 * torch.rand(5, 49, 2, generator=generator)
    confidence = torch.rand(5, 49, 1, generator=generator)
    return torch.cat([pixels, torch.where(confidence > 0.3, confidence, 0.0)], dim=-1)


def test_a_moved_and_zoomed_crop_gives_the_same_inputs(keypoints):
    moved = torch.cat([1.7 * keypoints[..., :2] - 60, keypoints[..., 2:]], dim=-1)
    before, after = frame_of(keypoints), frame_of(moved)
    torch.testing.assert_close(
        encode_keypoints(moved, after), encode_keypoints(keypoints, before), atol=1e-5, rtol=0
    )
    torch.testing.assert_close(after.spread, 1.7 * before.spread)


def test_the_same_output_is_the_camera_of_a_moved_crop(keypoints):
    """The body's origin is projected to the same place among the keypoints, at the same size."""
    frame = frame_of(keypoints)
    translation = torch.tensor([[0.1, -0.2, 50.0]]).expand(5, 3)
    moved = frame_of(torch.cat([2 * keypoints[..., :2] + 30, keypoints[..., 2:]], dim=-1))
    there = decode_camera(encode_camera(translation, frame), moved)
    origin = torch.zeros(5, 1, 3)
    expected = 2 * project(origin, translation) + 30
    torch.testing.assert_close(project(origin, there), expected, atol=1e-3, rtol=0)
    torch.testing.assert_close(there[:, 2], translation[:, 2] / 2)


def test_a_camera_survives_encoding_and_decoding(keypoints):
    frame = frame_of(keypoints)
    translation = torch.tensor([[0.1, -0.2, 30.0], [0.0, 0.0, 45.0]]).repeat(3, 1)[:5]
    torch.testing.assert_close(decode_camera(encode_camera(translation, frame), frame), translation)


def test_keypoints_that_do_not_count_are_no_inputs(keypoints):
    hidden = keypoints.clone()
    hidden[..., :2] = torch.where(keypoints[..., 2:] > 0, keypoints[..., :2], 1e6)
    broken = keypoints.clone()
    broken[..., 0] = torch.where(keypoints[..., 2] > 0, keypoints[..., 0], torch.nan)
    for other in (hidden, broken):
        assert torch.equal(
            encode_keypoints(other, frame_of(other)), encode_keypoints(keypoints, frame_of(keypoints))
        )


@pytest.mark.parametrize("n_seen", [0, 1, 2])
def test_next_to_nothing_seen_gives_finite_numbers(keypoints, n_seen):
    few = keypoints.clone()
    few[..., 2] = 0
    few[:, :n_seen, 2] = 1
    few[:, :2, :2] = 100.0  # on one spot
    frame = frame_of(few)
    assert torch.isfinite(encode_keypoints(few, frame)).all()
    assert (frame.spread > 0).all()
    assert torch.isfinite(decode_camera(torch.full((5, 3), 50.0), frame)).all()


@pytest.fixture
def pixels() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(6, 49, 3, generator=generator) * torch.tensor([224.0, 224.0, 1.0])


def test_the_output_is_finite_for_all_inputs(learnt, pixels):
    broken = pixels.clone()
    broken[0] = torch.nan
    broken[1, :, 2] = 0
    broken[2, 3:, 2] = 0
    broken[3, :, :2] = 1e12
    broken[4, 5] = torch.inf
    broken[5, 6] = 1e30
    state = lift(learnt.network, broken)
    assert all(torch.isfinite(part).all() for part in state)
    assert (state.translation[:, 2] > 0).all()


def test_one_person_does_not_disturb_another(learnt, pixels):
    broken = pixels.clone()
    broken[2] = torch.nan
    whole = [0, 1, 3, 4, 5]
    for mine, theirs in zip(lift(learnt.network, pixels), lift(learnt.network, broken), strict=True):
        torch.testing.assert_close(mine[whole], theirs[whole], atol=1e-5, rtol=1e-5)
    alone = lift(learnt.network, pixels[4:5])
    for mine, theirs in zip(lift(learnt.network, pixels), alone, strict=True):
        torch.testing.assert_close(mine[4:5], theirs, atol=1e-5, rtol=1e-5)


def test_a_saved_lifter_predicts_the_same(learnt, pixels, lifter_params, tmp_path):
    paths = [tmp_path / "a.pt", tmp_path / "b.pt"]
    for path in paths:
        save_lifter(path, learnt.network, lifter_params.network)
    again = load_lifter(paths[0])
    assert all(
        torch.equal(a, b) for a, b in zip(lift(learnt.network, pixels), lift(again, pixels), strict=True)
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
