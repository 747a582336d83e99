"""How the network is computed: device, precision, compiled or not, in how many processes."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from spinloop.params.training import TrainParams
from spinloop.regression.hmr import Hmr, Prediction, Share
from spinloop.training.batch_norm import share_batch_norm
from spinloop.training.processes import Processes


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
