import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import nn

from spinloop.errors import UserError
from spinloop.regression.hmr import (
    Hmr,
    Prediction,
    load_mean,
    mean_from_prior,
    normalize_images,
    visible_images,
)
from spinloop.regression.weights import OFFICIAL


@pytest.fixture(scope="module")
def official(mean) -> Hmr:
    return Hmr(OFFICIAL, mean, torch.Generator().manual_seed(0))


def _published_entries() -> dict[str, tuple[int, ...]]:
    """Names and shapes of SPIN's checkpoint, written out from its description (SPIN_FACTS 3.3)."""
    shapes: dict[str, tuple[int, ...]] = {"init_pose": (1, 144), "init_shape": (1, 10), "init_cam": (1, 3)}

    def norm(name: str, n: int) -> None:
        for key in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{name}.{key}"] = (n,)
        shapes[f"{name}.num_batches_tracked"] = ()

    shapes["conv1.weight"] = (64, 3, 7, 7)
    norm("bn1", 64)
    n_in = 64
    for layer, (blocks, p) in enumerate(zip((3, 4, 6, 3), (64, 128, 256, 512), strict=True), start=1):
        for block in range(blocks):
            at = f"layer{layer}.{block}"
            for i, shape in enumerate([(p, n_in, 1, 1), (p, p, 3, 3), (4 * p, p, 1, 1)], start=1):
                shapes[f"{at}.conv{i}.weight"] = shape
                norm(f"{at}.bn{i}", shape[0])
            if block == 0:
                shapes[f"{at}.downsample.0.weight"] = (4 * p, n_in, 1, 1)
                norm(f"{at}.downsample.1", 4 * p)
            n_in = 4 * p
    head = {"fc1": (2205, 1024), "fc2": (1024, 1024), "decpose": (1024, 144), "decshape": (1024, 10)}
    for name, (n_from, n_to) in (head | {"deccam": (1024, 3)}).items():
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (n_to, n_from), (n_to,)
    return shapes


def test_resnet50_has_exactly_the_published_entries_in_order(official):
    published = _published_entries()
    found = {name: tuple(tensor.shape) for name, tensor in official.state_dict().items()}
    assert len(found) == 331
    assert list(found.items()) == list(published.items())


def test_resnet50_has_the_published_number_of_parameters(official):
    assert sum(p.numel() for p in official.parameters() if p.requires_grad) == 26_977_501


def test_first_estimate_is_near_the_mean(official, mean, monkeypatch):
    """Three rounds of decoder biases of at most 1/32 each; what the features add is a hundredth of them."""
    features = torch.rand(2, 2048, generator=torch.Generator().manual_seed(1))
    monkeypatch.setattr(official, "features", lambda images: features)
    with torch.no_grad():
        predicted = official.eval()(torch.zeros(2, 3, 64, 64))
    assert torch.allclose(predicted.camera, torch.tensor(mean.cam), atol=0.15)
    assert predicted.betas.abs().max() < 0.15
    wanted = torch.eye(3).repeat(24, 1, 1)
    wanted[0] = torch.diag(torch.tensor([1.0, -1, -1]))
    assert (predicted.rotations - wanted).abs().max() < 0.25


def test_head_iterates_an_affine_map(tiny, mean, monkeypatch):
    """With no non-linearity the head is affine; three rounds are its third power, worked out here by hand."""
    tiny.eval()
    features = torch.randn(3, tiny.n_features, generator=torch.Generator().manual_seed(2))
    state = torch.as_tensor(np.concatenate([mean.pose, mean.shape, mean.cam])).expand(3, -1)
    with torch.no_grad():
        decode = torch.cat([tiny.decpose.weight, tiny.decshape.weight, tiny.deccam.weight])
        offset = torch.cat([tiny.decpose.bias, tiny.decshape.bias, tiny.deccam.bias])
        for _ in range(3):
            hidden = torch.cat([features, state], 1) @ tiny.fc1.weight.T + tiny.fc1.bias
            state = state + (hidden @ tiny.fc2.weight.T + tiny.fc2.bias) @ decode.T + offset
        monkeypatch.setattr(tiny, "features", lambda images: features)
        predicted = tiny(torch.zeros(3, 3, 32, 32))
    assert torch.allclose(predicted.betas, state[:, 144:154], atol=1e-5)
    assert torch.allclose(predicted.camera, state[:, 154:], atol=1e-5)


def test_backbone_equals_a_plain_reading_of_its_layers(tiny):
    """The residual blocks written out with functional calls on the state dict alone."""
    tiny.eval()
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    state = tiny.state_dict()

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        keys = [state[f"{name}.{key}"] for key in ("running_mean", "running_var", "weight", "bias")]
        return nn.functional.batch_norm(x, *keys)

    def conv(x: torch.Tensor, name: str, stride: int, padding: int) -> torch.Tensor:
        return nn.functional.conv2d(x, state[f"{name}.weight"], stride=stride, padding=padding)

    x = nn.functional.max_pool2d(norm(conv(images, "conv1", 2, 3), "bn1").relu(), 3, 2, 1)
    for layer in range(1, 5):
        for block in range(2):
            at, stride = f"layer{layer}.{block}", 2 if layer > 1 and block == 0 else 1
            y = norm(conv(x, f"{at}.conv1", stride, 1), f"{at}.bn1").relu()
            y = norm(conv(y, f"{at}.conv2", 1, 1), f"{at}.bn2")
            if f"{at}.downsample.0.weight" in state:
                x = norm(conv(x, f"{at}.downsample.0", stride, 0), f"{at}.downsample.1")
            x = (x + y).relu()
    with torch.no_grad():
        assert torch.allclose(tiny.features(images), x.mean((2, 3)), atol=1e-5)


def test_initial_weights_come_from_the_generator_alone(tiny_params, mean):
    torch.manual_seed(0)
    first = Hmr(tiny_params, mean, torch.Generator().manual_seed(5)).state_dict()
    torch.manual_seed(1)
    second = Hmr(tiny_params, mean, torch.Generator().manual_seed(5)).state_dict()
    other = Hmr(tiny_params, mean, torch.Generator().manual_seed(6)).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["fc1.weight"], other["fc1.weight"])


def test_initial_convolutions_have_he_deviation(official):
    weight = official.layer3[0].conv2.weight
    assert weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 256)), rel=0.02)


def test_dropout_is_reproducible_and_off_in_evaluation(tiny):
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        tiny.train()
        a, b, c = (tiny(images, torch.Generator().manual_seed(seed)).betas for seed in (7, 7, 8))
        assert torch.equal(a, b)
        assert not torch.equal(a, c)
        tiny.eval()
        assert torch.equal(tiny(images).betas, tiny(images).betas)


def test_training_with_dropout_refuses_the_global_generator(tiny):
    with pytest.raises(ValueError, match="generator"):
        tiny.train()(torch.zeros(2, 3, 32, 32))


def test_state_of_a_prediction_is_detached_and_in_front_of_the_camera():
    camera = torch.tensor([[0.9, 0.05, -0.1], [-2.0, 0.0, 0.0]], requires_grad=True)
    predicted = Prediction(torch.eye(3).repeat(2, 24, 1, 1), torch.ones(2, 10), camera)
    state = predicted.to_state()
    assert not state.translation.requires_grad
    # Golden number of SPIN_FACTS 11.1.
    assert torch.allclose(state.translation[0], torch.tensor([0.05, -0.1, 49.603176]), atol=1e-4)
    assert 0 < state.translation[1, 2] < 1000
    assert torch.equal(state.pose, torch.zeros(2, 72))


def test_normalized_channels_follow_imagenet_and_gains_saturate():
    images = np.zeros((1, 2, 2, 3), np.uint8)
    images[..., 0], images[..., 1], images[..., 2] = 255, 100, 0
    plain = normalize_images(images)
    assert torch.allclose(
        plain[0, :, 0, 0], torch.tensor([(1 - 0.485) / 0.229, (100 / 255 - 0.456) / 0.224, -0.406 / 0.225])
    )
    noisy = normalize_images(images, np.array([[1.4, 0.5, 1.4]]))
    assert torch.allclose(
        noisy[0, :, 0, 0], torch.tensor([(1 - 0.485) / 0.229, (50 / 255 - 0.456) / 0.224, -0.406 / 0.225])
    )
    assert plain.is_contiguous(memory_format=torch.channels_last)


def test_official_pixels_span_the_whole_range_like_scipys_bytescale():
    """SPIN_FACTS 2.6: (v − min) · 255 / (max − min), rounded, over all channels; noise cuts fractions off."""
    rng = np.random.default_rng(0)
    images = rng.integers(40, 180, (2, 8, 8, 3)).astype(np.uint8)
    images[1] = 90
    low, high = int(images[0].min()), int(images[0].max())
    wanted = np.floor((images[0].astype(float) - low) * 255 / (high - low) + 0.5)
    seen = visible_images(normalize_images(images, compat="official"))
    assert np.array_equal(seen[0], wanted)
    assert not seen[1].any(), "an image of one color has no contrast to stretch"
    gains = np.array([[1.4, 0.5, 1.0], [1.0, 1.0, 1.0]])
    noisy = visible_images(normalize_images(images, gains, "official"))
    assert np.array_equal(noisy[0], np.floor(np.minimum(wanted * gains[0], 255)))


def test_what_the_network_sees_can_be_shown_again():
    images = np.random.default_rng(1).integers(0, 255, (2, 5, 5, 3)).astype(np.uint8)
    assert np.array_equal(visible_images(normalize_images(images)), images)


def test_mean_of_the_prior_is_upright_and_weighted():
    rng = np.random.default_rng(0)
    means, weights = 0.3 * rng.standard_normal((2, 69)), np.array([0.25, 0.75])
    mean = mean_from_prior(means, weights)
    assert mean.pose[:6] == pytest.approx([1, 0, 0, -1, 0, 0], abs=1e-6)
    body = Rotation.from_rotvec((0.25 * means[0] + 0.75 * means[1]).reshape(23, 3)).as_matrix()
    # Interleaved: r00, r01, r10, r11, r20, r21.
    assert mean.pose[6:].reshape(23, 3, 2) == pytest.approx(body[:, :, :2], abs=1e-6)
    assert mean.cam == pytest.approx([0.9, 0, 0])
    assert not mean.shape.any()


def test_official_file_is_read(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {"pose": rng.random(144), "shape": rng.random(10), "cam": np.array([0.9, 0, 0])}
    np.savez(tmp_path / "mean.npz", **arrays)
    mean = load_mean(tmp_path / "mean.npz")
    for key, values in arrays.items():
        assert getattr(mean, key) == pytest.approx(values, abs=1e-6)


def test_columns_that_follow_each_other_are_refused(tmp_path):
    matrices = Rotation.random(24, random_state=0).as_matrix()
    for order, pose in (("ours", matrices[:, :, :2]), ("theirs", matrices[:, :, :2].transpose(0, 2, 1))):
        np.savez(tmp_path / f"{order}.npz", pose=pose.ravel(), shape=np.zeros(10), cam=np.array([0.9, 0, 0]))
    assert load_mean(tmp_path / "ours.npz").pose == pytest.approx(matrices[:, :, :2].ravel(), abs=1e-6)
    with pytest.raises(UserError, match=r"theirs\.npz: pose: the columns of the rotations follow each other"):
        load_mean(tmp_path / "theirs.npz")


def test_file_with_a_wrong_size_is_refused_by_key(tmp_path):
    np.savez(tmp_path / "mean.npz", pose=np.zeros(72), shape=np.zeros(10), cam=np.zeros(3))
    with pytest.raises(UserError, match=r"mean\.npz: pose: expected 144 numbers, found float64 \(72,\)"):
        load_mean(tmp_path / "mean.npz")


def test_damaged_and_absent_files_are_refused(tmp_path):
    (tmp_path / "mean.npz").write_bytes(b"not an archive")
    with pytest.raises(UserError, match="not a readable npz"):
        load_mean(tmp_path / "mean.npz")
    with pytest.raises(UserError, match="no such file"):
        load_mean(tmp_path / "absent.npz")
    np.savez(tmp_path / "whole.npz", pose=np.zeros(144), shape=np.zeros(10), cam=np.zeros(3))
    (tmp_path / "mean.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:400])
    with pytest.raises(UserError, match=r"mean\.npz: not a readable npz \(.+\); name SPIN's"):
        load_mean(tmp_path / "mean.npz")
    np.save(tmp_path / "mean.npy", np.zeros(144))
    (tmp_path / "mean.npy").rename(tmp_path / "mean.npz")
    with pytest.raises(UserError, match=r"mean\.npz: a single array, not an npz archive"):
        load_mean(tmp_path / "mean.npz")


def test_words_in_place_of_numbers_are_refused(tmp_path):
    arrays = {"pose": np.zeros(144), "shape": np.array(["a"] * 10), "cam": np.zeros(3)}
    np.savez(tmp_path / "mean.npz", **arrays)
    with pytest.raises(UserError, match=r"mean\.npz: shape: expected 10 numbers, found <U1"):
        load_mean(tmp_path / "mean.npz")
