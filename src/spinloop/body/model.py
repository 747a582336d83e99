"""Forward pass of an SMPL-format body, from pose and shape to vertices and joints, by our code or by smplx's.

Nothing is centered and no translation is added: the body rotates about its T-pose pelvis, which is not the
origin.
"""

from contextlib import redirect_stdout
from io import StringIO
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from spinloop.body.files import BodyFile
from spinloop.body.skinning import blend_skin, chain, from_rest, pose_features, pose_to_matrices
from spinloop.joints import MODEL49_FROM_SOURCE54, VERTEX_JOINTS

Engine = Literal["spinloop", "smplx"]
"""Whose code computes the forward pass; smplx is the reference."""


class BodyOutput(NamedTuple):
    """A posed body, metres, in the frame that the root's rotation maps to."""

    vertices: Float[Tensor, "B V 3"]
    joints24: Float[Tensor, "B 24 3"]
    """`joints.SMPL24`, from the kinematic chain."""
    joints49: Float[Tensor, "B 49 3"]
    """`joints.MODEL49`: joints of the chain, single vertices and regressed joints."""


class BodyModel(nn.Module):
    """SMPL's forward pass on the arrays of a `BodyFile`, differentiable in pose and shape."""

    template: Tensor
    shapedirs: Tensor
    posedirs: Tensor
    joint_template: Tensor
    joint_shapedirs: Tensor
    weights: Tensor
    extra_regressor: Tensor
    h36m_regressor: Tensor
    faces: Int[Tensor, "F 3"]

    def __init__(self, body: BodyFile, dtype: torch.dtype = torch.float32) -> None:
        """Register the arrays as buffers that follow `.to(device)` and stay out of `state_dict`.

        Args:
            body: the body.
            dtype: of the buffers, and so of pose and shape.
        """
        super().__init__()
        regressor = body.J_regressor.astype(np.float64)
        arrays = {
            "template": body.v_template.reshape(-1),
            "shapedirs": body.shapedirs.reshape(-1, body.shapedirs.shape[-1]).T,
            "posedirs": body.posedirs.reshape(-1, body.posedirs.shape[-1]).T,
            "joint_template": regressor @ body.v_template,
            "joint_shapedirs": np.einsum("jv,vck->kjc", regressor, body.shapedirs.astype(np.float64)),
            "weights": body.weights,
            "extra_regressor": body.J_regressor_extra,
            "h36m_regressor": body.J_regressor_h36m,
        }
        for name, array in arrays.items():
            tensor = torch.tensor(np.ascontiguousarray(array), dtype=dtype)
            self.register_buffer(name, tensor, persistent=False)
        self.register_buffer("faces", torch.tensor(body.f, dtype=torch.int64), persistent=False)
        self.parents = body.parents
        self._vertex_joints = list(VERTEX_JOINTS.values())
        self._gather49 = list(MODEL49_FROM_SOURCE54)

    def forward(self, pose: Float[Tensor, "B ..."], betas: Float[Tensor, "B 10"]) -> BodyOutput:
        """Posed vertices and joints.

        Args:
            pose: axis-angle (B, 72) in radians, zero in the T-pose; 6D rotations (B, 144); or matrices
                (B, 24, 3, 3).
            betas: shape coefficients, in standard deviations; zero is the mean body.

        Returns:
            Metres.
        """
        vertices, joints24 = self._pose(pose_to_matrices(pose), betas)
        landmarks = vertices[:, self._vertex_joints]
        extra = self.extra_regressor @ vertices
        source = torch.cat([joints24, landmarks, extra], dim=1)
        return BodyOutput(vertices, joints24, source[:, self._gather49])

    def vertices(self, pose: Float[Tensor, "B ..."], betas: Float[Tensor, "B 10"]) -> Float[Tensor, "B V 3"]:
        """Posed vertices only; arguments as in `forward`."""
        return self._pose(pose_to_matrices(pose), betas)[0]

    def joints24(self, pose: Float[Tensor, "B ..."], betas: Float[Tensor, "B 10"]) -> Float[Tensor, "B 24 3"]:
        """`joints.SMPL24` of the kinematic chain; arguments as in `forward`."""
        return self._pose(pose_to_matrices(pose), betas)[1]

    def regress_h36m(self, vertices: Float[Tensor, "B V 3"]) -> Float[Tensor, "B 17 3"]:
        """`joints.H36M17` of posed vertices, for evaluation."""
        return self.h36m_regressor @ vertices

    def _pose(
        self, rotations: Float[Tensor, "B J 3 3"], betas: Float[Tensor, "B 10"]
    ) -> tuple[Float[Tensor, "B V 3"], Float[Tensor, "B 24 3"]]:
        joints = self.joint_template + torch.einsum("bk,kjc->bjc", betas, self.joint_shapedirs)
        points = self.template + betas @ self.shapedirs + pose_features(rotations) @ self.posedirs
        posed = chain(rotations, joints, self.parents)
        motions = from_rest(posed, joints)
        return blend_skin(points.unflatten(-1, (-1, 3)), self.weights, motions), posed.translation


class SmplxBodyModel(BodyModel):
    """The same model with vertices and chain joints from `smplx.SMPL`, the reference implementation."""

    def __init__(self, body: BodyFile, dtype: torch.dtype = torch.float32) -> None:
        """See `BodyModel`."""
        # Imported here only: its licence is for research, and the package must work without it.
        import smplx
        from smplx.utils import Struct

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
        # As with our own buffers: the body is neither trained nor saved.
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


def make_body_model(
    body: BodyFile, engine: Engine = "spinloop", dtype: torch.dtype = torch.float32
) -> BodyModel:
    """The forward pass of a body by the named code; both give the same numbers within rounding."""
    return BodyModel(body, dtype) if engine == "spinloop" else SmplxBodyModel(body, dtype)
