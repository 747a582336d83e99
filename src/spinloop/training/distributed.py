"""Several processes that train one network: each fits and supervises its share of every batch.

Every process holds the whole dictionary of fits (360 bytes a person). A sample of a batch belongs to one
process, which alone fits it; the fits of a step then go to all, so that every copy of the dictionary is the
same after every step, and the same as that of one process with the same batch.

Batch normalization over the samples of all processes, on the CPU.

With statistics of its own samples only, each process would train another network than one process with the
whole batch does. PyTorch's `SyncBatchNorm` does the same on GPUs alone.

How the network is computed: device, precision, compiled or not, in how many processes.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TypeVar

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn.parallel import DistributedDataParallel

from spinloop.errors import UserError
from spinloop.params.training import TrainParams
from spinloop.regression.hmr import Hmr, Prediction, Share

T = TypeVar("T")
_BACKENDS = {"cpu": "gloo", "cuda": "nccl"}


class Processes:
    """The processes of a run, seen from one of them; a single one talks to nobody.

    Args:
        rank: number of this one, from 0.
        size: how many there are.
        device: where this one computes.
    """

    def __init__(self, rank: int = 0, size: int = 1, device: torch.device | str = "cpu") -> None:
        self.rank, self.size, self.device = rank, size, torch.device(device)

    @property
    def is_first(self) -> bool:
        """Whether this one writes files and talks to the person who watches."""
        return self.rank == 0

    def share(self, n_samples: int) -> slice:
        """This one's samples of a batch: equal shares, one after the other.

        Raises:
            UserError: the processes cannot have equal shares.
        """
        if n_samples % self.size:
            raise UserError(
                f"params.yaml: train.batch_size: {n_samples} samples for {self.size} processes; "
                "take a multiple"
            )
        length = n_samples // self.size
        return slice(self.rank * length, (self.rank + 1) * length)

    def sum(self, values: Tensor) -> Tensor:
        """Sum over the processes; no gradient passes."""
        if self.size == 1:
            return values
        total = values.detach().clone()
        dist.all_reduce(total)
        return total

    def gather(self, value: T) -> list[T]:
        """The value of every process, in their order.

        Args:
            value: plain data and tensors in main memory.
        """
        if self.size == 1:
            return [value]
        values: list[T] = [value] * self.size
        dist.all_gather_object(values, value)
        return values


@contextmanager
def joined_processes(device: str) -> Iterator[Processes]:
    """The processes that `torchrun` started, or this one alone.

    Args:
        device: `cpu` or `cuda`; each process of a machine takes a GPU of its own.

    Raises:
        UserError: there is no such device.
    """
    is_launched = dist.is_torchelastic_launched()
    number = int(os.environ["LOCAL_RANK"]) if is_launched else 0
    if device == "cuda" and number >= torch.cuda.device_count():
        found = torch.cuda.device_count()
        raise UserError(
            f"params.yaml: train.device: cuda: GPU {number} is needed, {found} found; set it to cpu"
        )
    own = torch.device(device, number) if device == "cuda" else torch.device(device)
    if not is_launched:
        yield Processes(device=own)
        return
    if device == "cuda":
        torch.cuda.set_device(own)
    dist.init_process_group(_BACKENDS[device])
    try:
        yield Processes(dist.get_rank(), dist.get_world_size(), own)
    finally:
        dist.destroy_process_group()


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


class Machine:
    """A network ready to train, its state dict unchanged.

    Args:
        network: moved to the device of `processes`, in place.
        params: of the training.
        processes: that train it together.
    """

    def __init__(self, network: Hmr, params: TrainParams, processes: Processes) -> None:
        self.processes = processes
        self.device = processes.device
        if processes.size > 1:
            share_batch_norm(network, self.device)
        network.to(self.device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        if params.compile:
            # The head draws its dropout from a generator of our own, which a compiler cannot follow.
            network.features = torch.compile(network.features)
        self._forward: Callable[..., Prediction] = network
        if processes.size > 1:
            self._forward = DistributedDataParallel(network, broadcast_buffers=False)
        self._precision = getattr(torch, params.precision)
        # Small gradients vanish in float16 unless they are scaled up; the others pass untouched.
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=params.precision == "float16")

    def predict(self, images: Float[Tensor, "B 3 H W"], generator: torch.Generator) -> Prediction:
        """The network's estimate, in float32 whatever the precision of its layers.

        Args:
            images: this process's share of the batch, on the device.
            generator: source of dropout for the whole batch.
        """
        n, processes = len(images), self.processes
        share = Share(first=processes.rank * n, total=processes.size * n)
        with self._autocast():
            predicted = self._forward(images, generator, share)
        return Prediction(*(part.float() for part in predicted))

    def learn(
        self, total: Float[Tensor, ""], optimizer: torch.optim.Optimizer, gradient_clip: float | None
    ) -> None:
        """Move the weights down the gradient.

        Args:
            total: this process's part of what is minimized.
            optimizer: of the network.
            gradient_clip: longest gradient (2-norm over all weights); None does not clip.
        """
        optimizer.zero_grad(set_to_none=True)
        # The gradients of the processes are averaged, and their parts of the loss add up.
        self.scaler.scale(total * self.processes.size).backward()
        if gradient_clip is not None:
            self.scaler.unscale_(optimizer)
            weights = [weight for group in optimizer.param_groups for weight in group["params"]]
            torch.nn.utils.clip_grad_norm_(weights, gradient_clip)
        self.scaler.step(optimizer)
        self.scaler.update()

    def _autocast(self) -> AbstractContextManager[object]:
        if self._precision == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, self._precision)
