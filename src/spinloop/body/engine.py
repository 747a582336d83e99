"""Which code computes the forward pass: ours, or smplx's as the reference."""

from typing import Literal

import torch

from spinloop.body.files import BodyFile
from spinloop.body.model import BodyModel

Engine = Literal["spinloop", "smplx"]


def make_body_model(
    body: BodyFile, engine: Engine = "spinloop", dtype: torch.dtype = torch.float32
) -> BodyModel:
    """The forward pass of a body by the named code; both give the same numbers within rounding.

    smplx is loaded only if it is named: its licence is for research.
    """
    if engine == "spinloop":
        return BodyModel(body, dtype)
    from spinloop.body.reference import SmplxBodyModel

    return SmplxBodyModel(body, dtype)
