"""Posed bodies of the right gender, in batches."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from spinloop.body.engine import Engine, make_body_model
from spinloop.body.files import GENDERS, BodyFile, load_body
from spinloop.body.model import BodyModel
from spinloop.errors import UserError

NEUTRAL = GENDERS[0]


def load_bodies(neutral: Path, female: Path, male: Path, engine: Engine) -> dict[str, BodyModel]:
    """The three bodies by gender, posed by the named code.

    Raises:
        UserError: a file is absent or faulty, or is of another gender than the option that names it.
    """
    return pose_with(load_body_files(neutral, female, male), engine)


def pose_with(files: Mapping[str, BodyFile], engine: Engine) -> dict[str, BodyModel]:
    """The forward pass of each body by the named code."""
    return {gender: make_body_model(body, engine) for gender, body in files.items()}


def load_body_files(neutral: Path, female: Path, male: Path) -> dict[str, BodyFile]:
    """The arrays of the three bodies by gender (see `load_bodies`)."""
    bodies = {}
    for gender, path in zip(GENDERS, (neutral, female, male), strict=True):
        bodies[gender] = load_body(path)
        if bodies[gender].gender != gender:
            found = bodies[gender].gender
            raise UserError(f"{path}: gender: expected {gender}, found {found}; correct --body-{gender}")
    return bodies


def batches(n: int, size: int) -> Iterator[slice]:
    """Consecutive slices of at most `size` that cover 0 … n − 1."""
    return (slice(start, min(start + size, n)) for start in range(0, n, size))


def gendered_vertices(
    bodies: Mapping[str, BodyModel],
    pose: Float[Tensor, "B ..."],
    betas: Float[Tensor, "B 10"],
    genders: Sequence[str | None],
) -> Float[Tensor, "B V 3"]:
    """Vertices of each person on the body of its gender; metres, the root's own frame.

    Args:
        bodies: `neutral`, `female` and `male`, all with the same vertices.
        pose: axis-angles (B, 72) or matrices (B, 24, 3, 3).
        betas: shape coefficients of the person's own body.
        genders: key of `bodies` for each person; None is the neutral body.
    """
    rows, parts = [], []
    for gender, chosen in rows_by_gender(genders):
        rows.append(chosen)
        parts.append(bodies[gender].vertices(pose[chosen], betas[chosen]))
    return torch.cat(parts)[np.argsort(np.concatenate(rows))]


def rows_by_gender(genders: Sequence[str | None]) -> Iterator[tuple[str, Int[np.ndarray, " N"]]]:
    """Each gender that occurs, with the positions where it does; None counts as the neutral body."""
    named = np.array([gender or NEUTRAL for gender in genders])
    for gender in np.unique(named):
        yield str(gender), np.flatnonzero(named == gender)
