"""The lifter: the network, the frame of its inputs and outputs, and its file.

The network reads and predicts in the frame of a person's own keypoints: the origin is the mean of the visible
keypoints, the unit their spread, so that the crop makes no difference. The file is
`{"lifter": state dict, "network": sizes}`, read with `weights_only`.
"""

from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from pydantic import ValidationError
from torch import Tensor, nn

from spinloop.body.pose import BodyState
from spinloop.errors import UserError
from spinloop.files import output, read_weights
from spinloop.geometry.camera import usable_keypoints
from spinloop.geometry.crop import CENTER_PX, CROP_PX, FOCAL_PX
from spinloop.geometry.rotations import matrix_to_axis_angle, rot6d_to_matrix
from spinloop.params.fitting import LifterNetworkParams

N_INPUTS = 3 * 49
# A person of whom fewer than two keypoints are visible is assumed to fill the crop.
_DEFAULT_SPREAD_PX = CROP_PX / 4
_MIN_SPREAD_PX = 1.0
# Keypoints further from the origin than this are outliers; how far does not matter.
_MAX_DISTANCE = 4.0
# Bounds of the logarithm of the spread per metre: people from 0.05 to 3.5 m of spread.
_LOG_SCALE = (-1.2, 3.0)


class KeypointFrame(NamedTuple):
    """Where the keypoints of each person are, and how far apart."""

    middle: Float[Tensor, "B 2"]
    """Pixels of the crop."""
    spread: Float[Tensor, " B"]
    """Root mean square distance from the middle along one axis, pixels."""


def frame_of(keypoints: Float[Tensor, "B 49 3"]) -> KeypointFrame:
    """The frame of each person's keypoints; finite for all inputs.

    Args:
        keypoints: pixels and confidence; a keypoint with confidence 0, or a number that is not finite, does
            not count.
    """
    known = usable_keypoints(keypoints)
    points, seen = known[..., :2], (known[..., 2:] > 0).to(known.dtype)
    count = seen.sum(1)
    middle = (points * seen).sum(1) / count.clamp(min=1)
    square = ((points - middle[:, None]).square() * seen).sum((1, 2)) / (2 * count[:, 0].clamp(min=1))
    spread = torch.where(count[:, 0] >= 2, square.sqrt().clamp(min=_MIN_SPREAD_PX), _DEFAULT_SPREAD_PX)
    return KeypointFrame(torch.where(count > 0, middle, CENTER_PX), spread)


def encode_keypoints(keypoints: Float[Tensor, "B 49 3"], frame: KeypointFrame) -> Float[Tensor, "B 147"]:
    """Inputs of the network: coordinates in the frame and confidences, zeros where nothing is visible."""
    known = usable_keypoints(keypoints)
    seen = (known[..., 2:] > 0).to(known.dtype)
    points = (known[..., :2] - frame.middle[:, None]) / frame.spread[:, None, None]
    confidence = known[..., 2:].clamp(max=1)
    return torch.cat([points.clamp(-_MAX_DISTANCE, _MAX_DISTANCE) * seen, confidence], dim=-1).flatten(1)


def encode_camera(translation: Float[Tensor, "B 3"], frame: KeypointFrame) -> Float[Tensor, "B 3"]:
    """A translation as the network predicts it: log of the scale, and the body's origin in the frame.

    Args:
        translation: metres, of the 5000 px camera of the crop.
        frame: of the person's keypoints.
    """
    px_per_m = FOCAL_PX / translation[:, 2:]
    origin = (translation[:, :2] * px_per_m + CENTER_PX - frame.middle) / frame.spread[:, None]
    return torch.cat([(px_per_m / frame.spread[:, None]).log(), origin], dim=1)


def decode_camera(camera: Float[Tensor, "B 3"], frame: KeypointFrame) -> Float[Tensor, "B 3"]:
    """The inverse of `encode_camera`; scales beyond those of people are clipped."""
    px_per_m = camera[:, :1].clamp(*_LOG_SCALE).exp() * frame.spread[:, None]
    origin = camera[:, 1:] * frame.spread[:, None] + frame.middle - CENTER_PX
    return torch.cat([origin / px_per_m, FOCAL_PX / px_per_m], dim=1)


_SIZES = (24 * 6, 10, 3)
N_OUTPUTS = sum(_SIZES)


class Lifted(NamedTuple):
    """What the network predicts of each person."""

    rotations: Float[Tensor, "B 24 3 3"]
    """Of the 24 joints; that of the root in camera axes."""
    betas: Float[Tensor, "B 10"]
    """Shape coefficients."""
    camera: Float[Tensor, "B 3"]
    """See `encode_camera`."""


class Lifter(nn.Module):
    """Residual layers of one width from keypoints in their own frame to pose, shape and camera.

    Differs from Martinez et al.: layer normalisation, which treats every person alone, in place of batch
    normalisation; no dropout, since no person is ever seen twice.
    """

    mean: Tensor

    def __init__(
        self, params: LifterNetworkParams, mean: Float[Tensor, " 157"], generator: torch.Generator
    ) -> None:
        """Initialize the weights.

        Args:
            params: sizes.
            mean: initial output: six numbers of each joint's rotation, shape, camera.
            generator: of the weights.
        """
        super().__init__()
        self.enter = nn.Linear(N_INPUTS, params.width)
        self.blocks = nn.ModuleList(_Block(params.width) for _ in range(params.n_blocks))
        self.leave = nn.Linear(params.width, N_OUTPUTS)
        self.register_buffer("mean", mean.clone())
        _initialize(self, generator)

    def forward(self, inputs: Float[Tensor, "B 147"]) -> Lifted:
        """Predict from the output of `encode_keypoints`."""
        hidden = torch.relu(self.enter(inputs))
        for block in self.blocks:
            hidden = block(hidden)
        six, betas, camera = (self.mean + self.leave(hidden)).split(_SIZES, dim=1)
        return Lifted(rot6d_to_matrix(six.unflatten(1, (24, 6))), betas, camera)


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(width, width),
            nn.LayerNorm(width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.LayerNorm(width),
        )

    def forward(self, hidden: Float[Tensor, "B W"]) -> Float[Tensor, "B W"]:
        return torch.relu(hidden + self.layers(hidden))


@torch.no_grad()
def _initialize(network: Lifter, generator: torch.Generator) -> None:
    """Kaiming's initialisation; the output starts at the mean."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
            layer.bias.zero_()
    network.leave.weight.mul_(0.01)


PACKAGED_LIFTER = Path(__file__).parents[1] / "assets" / "lifter.pt"
"""The lifter that comes with the package (`assets/README.md`)."""
_FIX = "make it with `spinloop train_lifter`"


@torch.no_grad()
def lift(lifter: Lifter, keypoints: Float[Tensor, "B 49 3"]) -> BodyState:
    """The body of each person from their own keypoints alone; finite for all inputs.

    Args:
        lifter: a trained network.
        keypoints: pixels of the 224 px crop, and confidence; a keypoint with confidence 0, or a number that
            is not finite, does not count.
    """
    frame = frame_of(keypoints)
    found = lifter(encode_keypoints(keypoints, frame))
    pose = matrix_to_axis_angle(found.rotations).flatten(1)
    return BodyState(pose, found.betas, decode_camera(found.camera, frame))


def save_lifter(
    path: Path, lifter: Lifter, params: LifterNetworkParams, dtype: torch.dtype = torch.float32
) -> None:
    """Write weights and sizes, atomically; the same network gives the same bytes.

    Args:
        path: the file.
        lifter: a trained network.
        params: its sizes.
        dtype: of the weights in the file.
    """
    state = {
        name: tensor.detach().cpu().to(dtype).contiguous() for name, tensor in lifter.state_dict().items()
    }
    with output(path) as stream:
        torch.save({"lifter": state, "network": params.model_dump()}, stream)


def load_shipped() -> Lifter:
    """The lifter that comes with the package."""
    return load_lifter(PACKAGED_LIFTER)


def load_lifter(path: Path) -> Lifter:
    """Read a file of `save_lifter`; the network is in evaluation mode, on the CPU.

    Raises:
        UserError: the file is absent, damaged, not a lifter, or its weights do not fit its sizes.
    """
    saved = read_weights(path, _FIX)
    if not isinstance(saved, dict) or set(saved) != {"lifter", "network"}:
        raise UserError(f"{path}: not a lifter's file; {_FIX}")
    try:
        params = LifterNetworkParams.model_validate(saved["network"])
        if params.n_blocks > len(saved["lifter"]):
            raise RuntimeError(f"{params.n_blocks} blocks")
        with torch.device("meta"):  # takes no memory, whatever sizes the file claims
            plan = Lifter(params, torch.zeros(N_OUTPUTS), torch.Generator("cpu")).state_dict()
        for name, wanted in plan.items():
            found = saved["lifter"][name]
            if found.shape != wanted.shape or not bool(found.isfinite().all()):
                raise RuntimeError(f"{name}: another shape, or not finite")
        lifter = Lifter(params, torch.zeros(N_OUTPUTS), torch.Generator())
        lifter.load_state_dict(saved["lifter"])
    except ValidationError as error:
        raise UserError(f"{path}: network: {error.errors()[0]['msg']}; {_FIX}") from None
    except (RuntimeError, AttributeError, LookupError, TypeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: weights do not fit the sizes ({reason}); {_FIX}") from None
    return lifter.eval()
