"""What a body does in a picture: pose, shape and where it stands."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor


class BodyState(NamedTuple):
    """Pose, shape and translation of a batch of people, in the camera of their crop."""

    pose: Float[Tensor, "B 72"]
    """Axis-angle of the 24 joints, radians; the first three are the root's, in camera axes."""
    betas: Float[Tensor, "B 10"]
    """Coefficients of the shape directions, in standard deviations."""
    translation: Float[Tensor, "B 3"]
    """Metres; added to the body's points before projecting (see `geometry.camera`)."""

    def detach(self) -> "BodyState":
        """The same numbers, outside the graph."""
        return type(self)(*(tensor.detach() for tensor in self))

    def where(self, chosen: Bool[Tensor, " B"], other: "BodyState") -> "BodyState":
        """Rows of this state where `chosen`, rows of `other` elsewhere."""
        pairs = zip(self, other, strict=True)
        return type(self)(*(torch.where(chosen[:, None], mine, theirs) for mine, theirs in pairs))
