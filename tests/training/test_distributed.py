"""Lower precision touches the network alone; dividing a batch does not change what a sample sees."""

import pytest
import torch

from spinloop.regression.hmr import BatchShare, Hmr
from spinloop.training.distributed import ProcessGroup, TrainableNetwork
from spinloop.training.loop import generator_of, train


@pytest.fixture
def network(make_run) -> Hmr:
    return make_run(loop=False).context.network.module.train()


def _images(n: int) -> torch.Tensor:
    images = torch.randn(n, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    return images.contiguous(memory_format=torch.channels_last)


def test_a_network_in_bfloat16_says_nearly_the_same_in_float32(network, train_params):
    """Eight bits of mantissa: about 1 % of a rotation matrix's entries."""
    images = _images(8)
    plain = TrainableNetwork(network, train_params, ProcessGroup()).predict(images, generator_of(0, 1))
    params = train_params.model_copy(update={"precision": "bfloat16"})
    lower = TrainableNetwork(network, params, ProcessGroup()).predict(images, generator_of(0, 1))
    assert all(part.dtype == torch.float32 for part in lower)
    difference = (plain.rotations - lower.rotations).abs().max()
    assert 0 < difference < 0.05
    assert (lower.rotations @ lower.rotations.mT - torch.eye(3)).abs().max() < 1e-4


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_training_in_lower_precision_keeps_weights_and_fits_in_float32(make_run, train_params, precision):
    params = train_params.model_copy(update={"precision": precision, "n_steps": 16, "gradient_clip": 1.0})
    run = make_run(params=params)
    before = run.context.network.module.fc1.weight.clone()
    for _ in train(run):
        pass
    weight = run.context.network.module.fc1.weight
    assert weight.dtype == torch.float32
    assert torch.isfinite(weight).all()
    assert not torch.equal(weight, before)
    assert (run.context.store.array("origin") == 2).any()
    scale = run.context.network.state_dict()["scaler"].get("scale", 1.0)
    assert (scale > 1) == (precision == "float16")


def test_a_sample_has_the_same_dropout_however_the_batch_is_divided(network):
    """Statistics of the batch aside: the network is in evaluation but for its dropout."""
    images = _images(6)
    network.eval()
    network.training = True
    whole = network(images, generator_of(0, 5))
    parts = [
        network(images[i : i + 2], generator_of(0, 5), BatchShare(first=i, total=6)).betas for i in (0, 2, 4)
    ]
    assert torch.allclose(whole.betas, torch.cat(parts), atol=1e-6)
    assert not torch.allclose(whole.betas[:2], network(images[:2], generator_of(0, 6)).betas, atol=1e-3)


def test_large_gradients_are_clipped(network, train_params):
    params = train_params.model_copy(update={"gradient_clip": 0.5})
    clipped = TrainableNetwork(network, params, ProcessGroup())
    predicted = clipped.predict(_images(4), generator_of(0, 1))
    clipped.update(1e4 * predicted.betas.square().sum(), 1e-3)
    gradients = [weight.grad.flatten() for weight in network.parameters() if weight.grad is not None]
    assert torch.cat(gradients).norm().item() == pytest.approx(0.5, rel=1e-3)
