"""All three free bodies and their figures, from Anny to body files."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from spinloop.body.files import BodyFile
from spinloop.body.free.build import (
    Population,
    build_mesh,
    describe,
    fit_regressors,
    shape_spaces,
    typical_body,
)
from spinloop.body.free.output import body_file
from spinloop.body.free.population import draw_adults, draw_rig_bodies
from spinloop.body.free.pose_shapes import pose_shapes
from spinloop.body.free.report import report
from spinloop.body.free.source import RestBodies, Source
from spinloop.body.free.tpose import to_tpose

Draw = Callable[[Source, int, bool, tuple[float, float], np.random.Generator], RestBodies]


class Sizes(NamedTuple):
    """How many bodies of each sex."""

    n_bodies: int
    """Adults, for the means and shape directions."""
    n_rig_bodies: int
    """Bodies on which joints are learnt; see `draw_rig_bodies`."""
    n_held_out: int
    """Of both kinds, unseen by any fit."""


class FreeBodies(NamedTuple):
    """What the build makes."""

    files: dict[str, BodyFile]
    """By gender."""
    figures: dict[str, Any]
    """See `report`."""


def build_free_bodies(
    source: Source, sizes: Sizes, age_years: tuple[float, float], rng: np.random.Generator
) -> FreeBodies:
    """Build the neutral, female and male body.

    Args:
        source: Anny.
        sizes: how many bodies are drawn.
        age_years: youngest and oldest adult, years.
        rng: the source of chance; the same state gives the same bodies.
    """
    women, men = _both_sexes(source, draw_adults, sizes.n_bodies + sizes.n_held_out, age_years, rng)
    mesh = build_mesh(source, typical_body(women, men))
    adults = {"female": describe(source, mesh, women), "male": describe(source, mesh, men)}
    rigs = [
        describe(source, mesh, bodies)
        for bodies in _both_sexes(
            source, draw_rig_bodies, sizes.n_rig_bodies + sizes.n_held_out, age_years, rng
        )
    ]
    known = {gender: people.part(slice(0, sizes.n_bodies)) for gender, people in adults.items()}
    regressors = fit_regressors(mesh, _joined([rig.part(slice(0, sizes.n_rig_bodies)) for rig in rigs]))
    spaces = shape_spaces(mesh, known["female"], known["male"])
    turns_seed = int(rng.integers(2**32))
    posedirs = {
        gender: pose_shapes(
            space.mean,
            regressors.joints @ space.mean,
            mesh.weights,
            mesh.mirror,
            np.random.default_rng(turns_seed),
        )
        for gender, space in spaces.items()
    }
    unseen = {
        "adults": _joined([people.part(slice(sizes.n_bodies, None)) for people in adults.values()]),
        "rig_bodies": _joined([rig.part(slice(sizes.n_rig_bodies, None)) for rig in rigs]),
    }
    return FreeBodies(
        {
            gender: body_file(mesh, regressors, space, gender, posedirs[gender])
            for gender, space in spaces.items()
        },
        report(mesh, regressors, spaces, known, unseen),
    )


def _both_sexes(
    source: Source, draw: Draw, n_bodies: int, age_years: tuple[float, float], rng: np.random.Generator
) -> list[RestBodies]:
    """Women and men in the T-pose."""
    return [
        to_tpose(source, draw(source, n_bodies, is_female, age_years, rng)) for is_female in (True, False)
    ]


def _joined(groups: list[Population]) -> Population:
    first, second = groups
    return first.and_also(second)
