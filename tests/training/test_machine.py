"""Lower precision touches the network alone; dividing a batch does not change what a sample sees."""

import pytest
import torch

from spinloop.regression.hmr import Hmr, Share
from spinloop.training.distributed import Machine, Processes
from spinloop.training.loop import stream, train


@pytest.fixture
def network(make_run) -> Hmr:
    return make_run(loop=False).apparatus.network.train()


def _images(n: int) -> torch.Tensor:
    images = torch.randn(n, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    return images.contiguous(memory_format=torch.channels_last)


def test_a_network_in_bfloat16_says_nearly_the_same_in_float32(network, train_params):
    """Eight bits of mantissa: about 1 % of a rotation matrix's entries."""
    images = _images(8)
    plain = Machine(network, train_params, Processes()).predict(images, stream(0, 1))
    params = train_params.model_copy(update={"precision": "bfloat16"})
    lower = Machine(network, params, Processes()).predict(images, stream(0, 1))
    assert all(part.dtype == torch.float32 for part in lower)
    difference = (plain.rotations - lower.rotations).abs().max()
    assert 0 < difference < 0.05
    assert (lower.rotations @ lower.rotations.mT - torch.eye(3)).abs().max() < 1e-4


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_training_in_lower_precision_keeps_weights_and_fits_in_float32(make_run, train_params, precision):
    params = train_params.model_copy(update={"precision": precision, "n_steps": 16, "gradient_clip": 1.0})
    run = make_run(params=params)
    before = run.apparatus.network.fc1.weight.clone()
    for _ in train(run):
        pass
    weight = run.apparatus.network.fc1.weight
    assert weight.dtype == torch.float32
    assert torch.isfinite(weight).all()
    assert not torch.equal(weight, before)
    assert (run.apparatus.store.array("origin") == 2).any()
    assert (run.apparatus.machine.scaler.get_scale() > 1) == (precision == "float16")


def test_a_sample_has_the_same_dropout_however_the_batch_is_divided(network):
    """Statistics of the batch aside: the network is in evaluation but for its dropout."""
    images = _images(6)
    network.eval()
    network.training = True
    whole = network(images, stream(0, 5))
    parts = [network(images[i : i + 2], stream(0, 5), Share(first=i, total=6)).betas for i in (0, 2, 4)]
    assert torch.allclose(whole.betas, torch.cat(parts), atol=1e-6)
    assert not torch.allclose(whole.betas[:2], network(images[:2], stream(0, 6)).betas, atol=1e-3)


def test_long_gradients_are_clipped(network, train_params):
    machine = Machine(network, train_params, Processes())
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    before = torch.cat([weight.detach().flatten().clone() for weight in network.parameters()])
    predicted = machine.predict(_images(4), stream(0, 1))
    machine.learn(1e4 * predicted.betas.square().sum(), optimizer, 0.5)
    after = torch.cat([weight.detach().flatten() for weight in network.parameters()])
    assert (after - before).norm().item() == pytest.approx(0.5, rel=1e-3)
