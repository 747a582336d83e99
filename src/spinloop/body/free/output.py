"""A free body as the arrays of a body file."""

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from spinloop.body.files import BodyFile
from spinloop.body.free.build import Mesh, Regressors
from spinloop.body.free.shape_space import ShapeSpace
from spinloop.joints import SMPL24, SMPL_PARENTS


def body_file(
    mesh: Mesh, regressors: Regressors, space: ShapeSpace, gender: str, posedirs: Float[ndarray, "V 3 207"]
) -> BodyFile:
    """Put one body together.

    Args:
        mesh: what all bodies share.
        regressors: joint regressors of the mesh.
        space: mean and directions of the people this body stands for.
        gender: their name in the file.
        posedirs: metres that a vertex moves per entry of (rotation − identity) of joints 1–23.

    Returns:
        Float arrays in single precision.
    """
    parents = np.array(SMPL_PARENTS)
    return BodyFile(
        v_template=space.mean.astype(np.float32),
        shapedirs=space.directions.astype(np.float32),
        posedirs=posedirs.astype(np.float32),
        J_regressor=regressors.joints.astype(np.float32),
        weights=mesh.weights.astype(np.float32),
        kintree_table=np.stack([parents, np.arange(len(SMPL24))]).astype(np.int64),
        f=mesh.faces.astype(np.int32),
        J_regressor_extra=regressors.extra.astype(np.float32),
        J_regressor_h36m=regressors.h36m.astype(np.float32),
        part_labels=mesh.parts,
        gender=gender,
    )
