"""The network in training: its device, precision and optimizer, in one process or in several.

Several processes train one network. Each fits and supervises its share of every batch; the new fits of a step
then go to all. So every process has the same dictionary after every step (360 bytes a person), that of one
process with the whole batch.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn.parallel import DistributedDataParallel

from spinloop.errors import UserError
from spinloop.params.training import TrainParams
from spinloop.regression.hmr import BatchShare, Hmr, Prediction

T = TypeVar("T")
_BACKENDS = {"cpu": "gloo", "cuda": "nccl"}
# References to the groups of this process. Were that of `DistributedDataParallel` the last one, gloo would be
# torn down under Python's lock (GIL), for which its thread may wait: a rare, endless wait at the end.
_groups: list[Any] = []


class ProcessGroup:
    """The processes of a training, seen from one of them; by default a single one.

    Args:
        rank: number of this process, from 0.
        size: number of processes.
        device: device of this process.
    """

    def __init__(self, rank: int = 0, size: int = 1, device: torch.device | str = "cpu") -> None:
        self.rank, self.size, self.device = rank, size, torch.device(device)

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and messages."""
        return self.rank == 0

    def share(self, n_samples: int) -> slice:
        """This process's samples of a batch: equal consecutive shares.

        Raises:
            UserError: the batch cannot be divided equally.
        """
        if n_samples % self.size:
            raise UserError(
                f"params.yaml: train.batch_size: {n_samples} samples for {self.size} processes; "
                "take a multiple"
            )
        length = n_samples // self.size
        return slice(self.rank * length, (self.rank + 1) * length)

    def sum(self, values: Tensor) -> Tensor:
        """Sum over the processes; gradients do not pass."""
        if self.size == 1:
            return values
        total = values.detach().clone()
        dist.all_reduce(total)
        return total

    def gather(self, value: T) -> list[T]:
        """The value of every process, in order of rank.

        Args:
            value: plain data and tensors in main memory.
        """
        if self.size == 1:
            return [value]
        values: list[T] = [value] * self.size
        dist.all_gather_object(values, value)
        return values


@contextmanager
def join_process_group(device: str) -> Iterator[ProcessGroup]:
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
        yield ProcessGroup(device=own)
        return
    if device == "cuda":
        torch.cuda.set_device(own)
    dist.init_process_group(_BACKENDS[device])
    _groups.append(dist.group.WORLD)
    try:
        yield ProcessGroup(dist.get_rank(), dist.get_world_size(), own)
    finally:
        dist.destroy_process_group()


class TrainableNetwork:
    """A network on its device, wrapped for several processes, with its optimizer.

    Args:
        network: moved to the device of `processes`, in place.
        params: device, precision, compilation and learning rate.
        processes: the processes that train it together.
    """

    def __init__(self, network: Hmr, params: TrainParams, processes: ProcessGroup) -> None:
        self.module = network
        self.processes = processes
        self.device = processes.device
        if processes.size > 1:
            share_batch_norm(network, self.device)
        network.to(self.device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        if params.compile:
            # Only the backbone: a compiler cannot follow the generator of the head's dropout.
            network.features = torch.compile(network.features)
        self._forward: Callable[..., Prediction] = network
        if processes.size > 1:
            self._forward = DistributedDataParallel(network, broadcast_buffers=False)
        self._precision = getattr(torch, params.precision)
        self._gradient_clip = params.gradient_clip
        self._optimizer = torch.optim.Adam(network.parameters(), lr=params.learning_rate)
        # Small gradients vanish in float16 unless they are scaled up; other precisions are not scaled.
        self._scaler = torch.amp.GradScaler(self.device.type, enabled=params.precision == "float16")

    def predict(self, images: Float[Tensor, "B 3 H W"], generator: torch.Generator) -> Prediction:
        """The network's estimate, in float32 whatever the precision of its layers.

        Args:
            images: this process's share of the batch, on the device.
            generator: source of dropout for the whole batch.
        """
        n, processes = len(images), self.processes
        share = BatchShare(first=processes.rank * n, total=processes.size * n)
        with self._autocast():
            predicted = self._forward(images, generator, share)
        return Prediction(*(part.float() for part in predicted))

    def update(self, total: Float[Tensor, ""], learning_rate: float) -> None:
        """One step of the optimizer.

        Args:
            total: this process's part of the minimized loss.
            learning_rate: learning rate of this step.
        """
        optimizer = self._optimizer
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
        optimizer.zero_grad(set_to_none=True)
        # The gradients of the processes are averaged, but their parts of the loss add up.
        self._scaler.scale(total * self.processes.size).backward()
        if self._gradient_clip is not None:
            self._scaler.unscale_(optimizer)
            weights = [weight for group in optimizer.param_groups for weight in group["params"]]
            torch.nn.utils.clip_grad_norm_(weights, self._gradient_clip)
        self._scaler.step(optimizer)
        self._scaler.update()

    def state_dict(self) -> dict[str, Any]:
        """State for a checkpoint: network, optimizer and gradient scaler."""
        return {
            "network": self.module.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "scaler": self._scaler.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state of a checkpoint; other keys are ignored."""
        self.module.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])
        if state["scaler"] and self._scaler.is_enabled():  # another precision may have made the state
            self._scaler.load_state_dict(state["scaler"])

    def _autocast(self) -> AbstractContextManager[object]:
        if self._precision == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, self._precision)


class SharedBatchNorm2d(nn.BatchNorm2d):
    """`BatchNorm2d` whose statistics in training are those of all processes, on the CPU.

    With statistics of its own samples only, each process would train another network than a single process
    does with the whole batch. PyTorch's `SyncBatchNorm` supports GPUs only.
    """

    def forward(self, input: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Normalize; in evaluation as `BatchNorm2d` does."""
        if not self.training:
            return super().forward(input)
        n = all_reduce(input.new_tensor(input.numel() / input.shape[1]))
        mean = all_reduce(input.sum((0, 2, 3))) / n
        centered = input - mean[:, None, None]
        variance = all_reduce(centered.square().sum((0, 2, 3))) / n
        self._update_running_statistics(mean.detach(), (variance * n / (n - 1)).detach())
        factor = self.weight * torch.rsqrt(variance + self.eps)
        return centered * factor[:, None, None] + self.bias[:, None, None]

    def _update_running_statistics(self, mean: Float[Tensor, " C"], variance: Float[Tensor, " C"]) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)


def share_batch_norm(network: nn.Module, device: torch.device) -> None:
    """Replace every batch normalization of a network by one over all processes; weights are kept.

    Args:
        network: changed in place.
        device: where it will compute; on GPUs PyTorch's `SyncBatchNorm` is used.
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
