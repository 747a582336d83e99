from dataclasses import replace

import numpy as np
import pytest
import torch

from spinloop.body.joints_only import JointsOnly
from spinloop.body.pose import to_view
from spinloop.geometry.camera import project
from spinloop.params.training import AugmentationParams
from spinloop.training.data import Look, make_batch
from spinloop.training.mixture import Draw
from spinloop.training.step import unzoom_keypoints, unzoom_state

WILD = AugmentationParams(
    flip_probability=0.5, channel_noise=0.4, rotation_deg=30.0, upright_probability=0.2, scale=0.25
)


LOOK = Look(64, "none")


def _draws(n: int, seed: int = 0) -> list[Draw]:
    return [Draw("stick_train", row, np.random.default_rng([seed, row])) for row in range(n)]


@pytest.fixture(scope="module")
def batch(people):
    return make_batch({"stick_train": people.split}, _draws(12), WILD, LOOK)


def test_true_bodies_project_to_the_unzoomed_keypoints_in_every_view(batch, people, stick_body):
    """Turned, mirrored and zoomed back: the fit's frame is exact, up to the camera's perspective."""
    assert batch.view.is_flipped.any()
    assert not batch.view.is_flipped.all()
    assert (batch.view.rotation_deg != 0).any()
    skeleton = JointsOnly(stick_body)
    root = skeleton.root_joint(people.state.betas)
    seen = to_view(people.state, batch.view, root)
    projected = project(skeleton.joints(seen.pose, seen.betas), seen.translation)
    keypoints = unzoom_keypoints(batch.keypoints, batch.zoom)
    assert (projected - keypoints[..., :2]).abs().max() < 0.1


def test_unzooming_a_state_undoes_the_crops_zoom(batch, people, stick_body):
    """A camera that fits the zoomed crop (within its perspective of 1 %) becomes the true one."""
    skeleton = JointsOnly(stick_body)
    state = to_view(people.state, batch.view, skeleton.root_joint(people.state.betas))
    depth = state.translation[:, 2] * batch.zoom
    zoomed = state._replace(translation=torch.cat([state.translation[:, :2], depth[:, None]], 1))
    projected = project(skeleton.joints(zoomed.pose, zoomed.betas), zoomed.translation)
    assert (projected - batch.keypoints[..., :2]).abs().max() < 1.0
    assert torch.allclose(unzoom_state(zoomed, batch.zoom).translation, state.translation, rtol=1e-6)


def test_images_show_the_keypoints(batch):
    """Under every joint lies a disk, not the black background."""
    background = torch.tensor([-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225])
    pixels = (batch.keypoints[..., :2] * 64 / 224).floor().long()
    inside = ((pixels >= 1) & (pixels < 63)).all(-1)
    for image, at, counted in zip(batch.images, pixels, inside, strict=True):
        x, y = at[counted].T
        assert ((image[:, y, x] - background[:, None]).abs().max(0).values > 0.1).all()


def test_a_batch_is_the_same_whatever_was_drawn_before(batch, people):
    again = make_batch({"stick_train": people.split}, _draws(12), WILD, LOOK)
    assert torch.equal(batch.images, again.images)
    assert torch.equal(batch.keypoints, again.keypoints)
    other = make_batch({"stick_train": people.split}, _draws(12, seed=1), WILD, LOOK)
    assert not torch.equal(batch.images, other.images)


def test_annotations_are_seen_in_the_crops_view(batch, people, stick_body):
    """Annotated body and 3D joints agree in the view; a person without them has zeros and a flag."""
    skeleton = JointsOnly(stick_body)
    true = people.state
    joints = np.full((12, 24, 4), np.nan, np.float32)
    joints[3:, :, :3] = skeleton.joints(true.pose, true.betas)[3:, 25:].numpy()
    joints[3:, :, 3] = 1
    pose, betas = true.pose.numpy().copy(), true.betas.numpy().copy()
    pose[:3] = betas[5] = np.nan
    split = replace(people.split, joints_3d=joints, pose=pose, betas=betas)
    known = make_batch({"stick_train": split}, _draws(12), WILD, LOOK).annotated
    assert known.has_joints_3d.tolist() == [False] * 3 + [True] * 9
    assert known.has_body.tolist() == [row > 2 and row != 5 for row in range(12)]
    assert not known.pose[~known.has_body].any()
    assert not known.joints_3d[:3].any()
    posed = skeleton.joints(known.pose, known.betas)[:, 25:]
    offset = (posed - known.joints_3d[..., :3])[known.has_body]
    # The body turns about its root joint, the annotated joints about the origin: one shift per person.
    # The stick body's two sides are equal to within a millimetre.
    assert (offset - offset.mean(1, keepdim=True)).abs().max() < 1e-3
