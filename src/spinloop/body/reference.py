"""smplx's forward pass behind our interface: the reference, by its own code."""

from contextlib import redirect_stdout
from io import StringIO

import smplx
import torch
from jaxtyping import Float
from smplx.utils import Struct
from torch import Tensor

from spinloop.body.files import BodyFile
from spinloop.body.model import BodyModel


class SmplxBodyModel(BodyModel):
    """The same model with its vertices and chain joints from `smplx.SMPL`."""

    def __init__(self, body: BodyFile, dtype: torch.dtype = torch.float32) -> None:
        """Make the model (see `BodyModel`)."""
        super().__init__(body, dtype)
        keys = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table", "f")
        # smplx prints a warning for files with ten shape directions, which is what ours have.
        with redirect_stdout(StringIO()):
            self.smplx = smplx.SMPL(
                "",
                data_struct=Struct(**{key: getattr(body, key) for key in keys}),
                create_transl=False,
                create_betas=False,
                create_global_orient=False,
                create_body_pose=False,
                dtype=dtype,
            )
        # As with our own arrays: the body stays out of checkpoints and is not trained.
        self.smplx.requires_grad_(False)
        self._register_state_dict_hook(_without_smplx)

    def _pose(
        self, rotations: Float[Tensor, "B J 3 3"], betas: Float[Tensor, "B 10"]
    ) -> tuple[Float[Tensor, "B V 3"], Float[Tensor, "B 24 3"]]:
        output = self.smplx(
            betas=betas, global_orient=rotations[:, :1], body_pose=rotations[:, 1:], pose2rot=False
        )
        return output.vertices, output.joints[:, :24]


def _without_smplx(module: torch.nn.Module, state: dict[str, Tensor], prefix: str, _metadata: object) -> None:
    for key in [key for key in state if key.startswith(f"{prefix}smplx.")]:
        del state[key]
