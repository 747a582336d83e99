"""Several processes that train one network: each fits and supervises its share of every batch.

Every process holds the whole dictionary of fits (360 bytes a person). A sample of a batch belongs to one
process, which alone fits it; the fits of a step then go to all, so that every copy of the dictionary is the
same after every step, and the same as that of one process with the same batch.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from spinloop.errors import UserError

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
