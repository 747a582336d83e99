import math

import numpy as np
import pytest
import torch
from torch import nn

from spinloop.regression.hmr import Hmr, Prediction
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
