"""Batch normalization over the samples of all processes, on the CPU.

With statistics of its own samples only, each process would train another network than one process with the
whole batch does. PyTorch's `SyncBatchNorm` does the same on GPUs alone.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce


class SharedBatchNorm2d(nn.BatchNorm2d):
    """`BatchNorm2d` whose statistics in training are those of all processes together."""

    def forward(self, input: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Normalize; in evaluation as `BatchNorm2d` does."""
        if not self.training:
            return super().forward(input)
        n = all_reduce(input.new_tensor(input.numel() / input.shape[1]))
        mean = all_reduce(input.sum((0, 2, 3))) / n
        centered = input - mean[:, None, None]
        variance = all_reduce(centered.square().sum((0, 2, 3))) / n
        self._remember(mean.detach(), (variance * n / (n - 1)).detach())
        factor = self.weight * torch.rsqrt(variance + self.eps)
        return centered * factor[:, None, None] + self.bias[:, None, None]

    def _remember(self, mean: Float[Tensor, " C"], variance: Float[Tensor, " C"]) -> None:
        """Move the running statistics, which evaluation uses."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)


def share_batch_norm(network: nn.Module, device: torch.device) -> None:
    """Replace every batch normalization of a network by one over all processes; weights stay.

    Args:
        network: changed in place.
        device: where it will compute; PyTorch's own form is used on GPUs.
    """
    for name, child in network.named_children():
        if not isinstance(child, nn.BatchNorm2d):
            share_batch_norm(child, device)
        elif device.type == "cuda":
            setattr(network, name, nn.SyncBatchNorm.convert_sync_batchnorm(child))
        else:
            shared = SharedBatchNorm2d(child.num_features, child.eps, child.momentum)
            shared.load_state_dict(child.state_dict())
            setattr(network, name, shared)
