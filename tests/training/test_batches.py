from dataclasses import replace

import numpy as np
import pytest
import torch

from spinloop.body.joints_only import JointsOnly
from spinloop.body.pose import to_view
from spinloop.errors import UserError
from spinloop.geometry.camera import project
from spinloop.params.training import AugmentationParams, NetworkParams
from spinloop.training.batches import make_batch
from spinloop.training.data import Sample
from spinloop.training.step import unzoom_keypoints, unzoom_state

WILD = AugmentationParams(
    flip_probability=0.5, channel_noise=0.4, rotation_deg=30.0, upright_probability=0.2, scale=0.25
)


NETWORK = NetworkParams(
    backbone="resnet18", width=8, head_width=16, image_px=64, n_iterations=3, dropout=0.5, compat="none"
)


def _samples(n: int, seed: int = 0) -> list[Sample]:
    return [Sample("stick_train", row, np.random.default_rng([seed, row])) for row in range(n)]


@pytest.fixture(scope="module")
def batch(people):
    return make_batch({"stick_train": people.split}, _samples(12), WILD, NETWORK)


def test_true_bodies_project_to_the_unzoomed_keypoints_in_every_view(batch, people, stick_body):
    """Rotated, flipped and unzoomed: the fit's frame is exact, up to the camera's perspective."""
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


def test_a_batch_does_not_depend_on_earlier_batches(batch, people):
    again = make_batch({"stick_train": people.split}, _samples(12), WILD, NETWORK)
    assert torch.equal(batch.images, again.images)
    assert torch.equal(batch.keypoints, again.keypoints)
    other = make_batch({"stick_train": people.split}, _samples(12, seed=1), WILD, NETWORK)
    assert not torch.equal(batch.images, other.images)


def test_annotations_are_in_the_crops_view(batch, people, stick_body):
    """Annotations3d body and 3D joints agree in the view; people without them have zeros and a flag."""
    skeleton = JointsOnly(stick_body)
    true = people.state
    joints = np.full((12, 24, 4), np.nan, np.float32)
    joints[3:, :, :3] = skeleton.joints(true.pose, true.betas)[3:, 25:].numpy()
    joints[3:, :, 3] = 1
    pose, betas = true.pose.numpy().copy(), true.betas.numpy().copy()
    pose[:3] = betas[5] = np.nan
    split = replace(people.split, joints_3d=joints, pose=pose, betas=betas)
    known = make_batch({"stick_train": split}, _samples(12), WILD, NETWORK).annotations
    assert known.has_joints_3d.tolist() == [False] * 3 + [True] * 9
    assert known.has_body.tolist() == [row > 2 and row != 5 for row in range(12)]
    assert not known.pose[~known.has_body].any()
    assert not known.joints_3d[:3].any()
    posed = skeleton.joints(known.pose, known.betas)[:, 25:]
    offset = (posed - known.joints_3d[..., :3])[known.has_body]
    # The body rotates about its root joint, the annotated joints about the origin: one shift per person.
    # The stick body's two sides are equal to within a millimetre.
    assert (offset - offset.mean(1, keepdim=True)).abs().max() < 1e-3


def _batches(make_run, n_workers: int) -> list:
    return list(make_run(loop=False).loader.batches(range(1, 4), n_workers))


@pytest.mark.parametrize("workers", [1, 2])
def test_any_number_of_workers_gives_the_same_batches(make_run, workers):
    alone, prefetched = _batches(make_run, 0), _batches(make_run, workers)
    assert len(alone) == len(prefetched) == 3
    for one, other in zip(alone, prefetched, strict=True):
        assert one.ids == other.ids
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.keypoints, other.keypoints)
        assert torch.equal(one.zoom, other.zoom)
        assert all(torch.equal(a, b) for a, b in zip(one.view, other.view, strict=True))
        assert all(torch.equal(a, b) for a, b in zip(one.annotations, other.annotations, strict=True))


def test_images_keep_their_memory_format_on_the_way_from_a_worker(make_run):
    (first, *_) = _batches(make_run, 1)
    assert first.images.is_contiguous(memory_format=torch.channels_last)


def test_the_global_generator_is_left_alone(make_run):
    loader = make_run(loop=False).loader
    before = torch.get_rng_state()
    list(loader.batches(range(2), 0))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("workers", [0, 1])
def test_a_faulty_file_is_reported_in_one_line_by_any_worker(make_run, people, workers):
    def damaged(row: int) -> None:
        raise UserError(f"crops.h5: jpeg[{row}]: damaged")

    run = make_run(loop=False, split=replace(people.split, packed=damaged))
    with pytest.raises(UserError, match=r"^crops\.h5: jpeg\[\d+\]: damaged$"):
        list(run.loader.batches(range(1), workers))
