"""The lifter in use, and its file: `{"lifter": state dict, "network": sizes}`, read with `weights_only`."""

from pathlib import Path

import torch
from jaxtyping import Float
from pydantic import ValidationError
from torch import Tensor

from spinloop.body.state import BodyState
from spinloop.errors import UserError
from spinloop.files import atomic, read_weights
from spinloop.geometry.rotations import matrix_to_axis_angle
from spinloop.lifting.frame import decode_camera, encode, own_frame
from spinloop.lifting.network import N_ANSWERS, Lifter
from spinloop.params.lifting import LifterNetworkParams

_CURE = "make it with `spinloop train_lifter`"


@torch.no_grad()
def lift(lifter: Lifter, keypoints: Float[Tensor, "B 49 3"]) -> BodyState:
    """The bodies that keypoints suggest; finite whatever they hold, and each by its own keypoints alone.

    Args:
        lifter: a trained network.
        keypoints: pixels of the 224 px crop, confidence; 0, or a number that is not finite, leaves a joint
            out.
    """
    frame = own_frame(keypoints)
    found = lifter(encode(keypoints, frame))
    pose = matrix_to_axis_angle(found.rotations).flatten(1)
    return BodyState(pose, found.betas, decode_camera(found.camera, frame))


def save_lifter(path: Path, lifter: Lifter, params: LifterNetworkParams) -> None:
    """Write weights and sizes, atomically; the same network gives the same bytes."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in lifter.state_dict().items()}
    with atomic(path) as temporary, temporary.open("wb") as stream:
        torch.save({"lifter": state, "network": params.model_dump()}, stream)


def load_lifter(path: Path) -> Lifter:
    """Read a file of `save_lifter`; the network is in evaluation mode, on the CPU.

    Raises:
        UserError: the file is absent, damaged, not a lifter, or its weights do not fit its sizes.
    """
    saved = read_weights(path, _CURE)
    if not isinstance(saved, dict) or set(saved) != {"lifter", "network"}:
        raise UserError(f"{path}: not a lifter's file; {_CURE}")
    try:
        params = LifterNetworkParams.model_validate(saved["network"])
        lifter = Lifter(params, torch.zeros(N_ANSWERS), torch.Generator())
        lifter.load_state_dict(saved["lifter"])
    except ValidationError as error:
        raise UserError(f"{path}: network: {error.errors()[0]['msg']}; {_CURE}") from None
    except (RuntimeError, AttributeError, TypeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: weights do not fit the sizes ({reason}); {_CURE}") from None
    return lifter.eval()
