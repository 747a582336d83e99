"""The keypoints' own frame: where and how large a person is makes no difference."""

import pytest
import torch

from spinloop.geometry.camera import project
from spinloop.lifting.network import decode_camera, encode, encode_camera, own_frame


@pytest.fixture
def keypoints() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    pixels = 224 * torch.rand(5, 49, 2, generator=generator)
    confidence = torch.rand(5, 49, 1, generator=generator)
    return torch.cat([pixels, torch.where(confidence > 0.3, confidence, 0.0)], dim=-1)


def test_a_moved_and_zoomed_crop_reads_the_same(keypoints):
    moved = torch.cat([1.7 * keypoints[..., :2] - 60, keypoints[..., 2:]], dim=-1)
    before, after = own_frame(keypoints), own_frame(moved)
    torch.testing.assert_close(encode(moved, after), encode(keypoints, before), atol=1e-5, rtol=0)
    torch.testing.assert_close(after.spread, 1.7 * before.spread)


def test_the_camera_of_a_moved_crop_is_the_same_answer(keypoints):
    """The body's origin is projected to the same place among the keypoints, at the same size."""
    frame = own_frame(keypoints)
    translation = torch.tensor([[0.1, -0.2, 50.0]]).expand(5, 3)
    moved = own_frame(torch.cat([2 * keypoints[..., :2] + 30, keypoints[..., 2:]], dim=-1))
    there = decode_camera(encode_camera(translation, frame), moved)
    origin = torch.zeros(5, 1, 3)
    expected = 2 * project(origin, translation) + 30
    torch.testing.assert_close(project(origin, there), expected, atol=1e-3, rtol=0)
    torch.testing.assert_close(there[:, 2], translation[:, 2] / 2)


def test_a_camera_survives_encoding_and_decoding(keypoints):
    frame = own_frame(keypoints)
    translation = torch.tensor([[0.1, -0.2, 30.0], [0.0, 0.0, 45.0]]).repeat(3, 1)[:5]
    torch.testing.assert_close(decode_camera(encode_camera(translation, frame), frame), translation)


def test_what_is_not_seen_is_not_read(keypoints):
    hidden = keypoints.clone()
    hidden[..., :2] = torch.where(keypoints[..., 2:] > 0, keypoints[..., :2], 1e6)
    broken = keypoints.clone()
    broken[..., 0] = torch.where(keypoints[..., 2] > 0, keypoints[..., 0], torch.nan)
    for other in (hidden, broken):
        assert torch.equal(encode(other, own_frame(other)), encode(keypoints, own_frame(keypoints)))


@pytest.mark.parametrize("n_seen", [0, 1, 2])
def test_next_to_nothing_seen_gives_finite_numbers(keypoints, n_seen):
    few = keypoints.clone()
    few[..., 2] = 0
    few[:, :n_seen, 2] = 1
    few[:, :2, :2] = 100.0  # on one spot
    frame = own_frame(few)
    assert torch.isfinite(encode(few, frame)).all()
    assert (frame.spread > 0).all()
    assert torch.isfinite(decode_camera(torch.full((5, 3), 50.0), frame)).all()
