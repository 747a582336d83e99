"""How good a free body is, in numbers.

All three free bodies and their figures, from Anny to body files.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from spinloop.body.files import BodyFile
from spinloop.freebody.anny import RestBodies, Source, draw_adults, draw_rig_bodies
from spinloop.freebody.build import (
    Mesh,
    Population,
    Regressors,
    body_file,
    build_mesh,
    describe,
    fit_regressors,
    shape_spaces,
    typical_body,
)
from spinloop.freebody.joints import Points
from spinloop.freebody.shapes import ShapeSpace, pose_shapes, volume
from spinloop.freebody.surface import to_tpose

# Density of a living body at mid-breath, kg/m³.
_DENSITY = 985.0

# The phenotypes of Anny whose distribution it calibrated.
PHENOTYPES = ("height", "weight", "muscle", "proportions", "age")
# Published adult figures beside which the population's are shown.
PUBLISHED = {
    "who_2007_stature_at_19_years_m": {
        "female": {"mean": 1.632, "deviation": 0.065},
        "male": {"mean": 1.765, "deviation": 0.073},
        "source": "WHO growth reference for 5-19 years (2007), height for age at 19 years",
    },
    "united_states_2015_2018": {
        "female": {"stature_m": 1.613, "mass_kg": 77.5},
        "male": {"stature_m": 1.753, "mass_kg": 90.6},
        "source": "Fryar et al., Vital and Health Statistics 3(46), 2021: adults of 20 years and over",
    },
    "world_2014_body_mass_index": {
        "female": 24.4,
        "male": 24.2,
        "source": "NCD Risk Factor Collaboration, Lancet 387:1377-1396, 2016: adults, age-standardised",
    },
    "thigh_share_of_leg": {
        "all": 0.499,
        "source": "Drillis and Contini, 1966: thigh 0.245, shank 0.246 of the stature",
    },
    "world_2005_mass_kg": {
        "all": 62.0,
        "source": "Walpole et al., The weight of nations, BMC Public Health 12:439, 2012",
    },
}


def stature(vertices: Float[ndarray, "N V 3"]) -> Float[ndarray, " N"]:
    """From sole to crown, metres."""
    return vertices[..., 1].max(axis=1) - vertices[..., 1].min(axis=1)


def mass(vertices: Float[ndarray, "N V 3"], faces: Int[ndarray, "F 3"]) -> Float[ndarray, " N"]:
    """Volume of the closed mesh times the density of a living body, kilograms."""
    return _DENSITY * volume(vertices, faces)


def report(
    mesh: Mesh,
    regressors: Regressors,
    spaces: dict[str, ShapeSpace],
    people: dict[str, Population],
    unseen: dict[str, Population],
) -> dict[str, Any]:
    """Numbers on the population, the shape directions and the joint regressors.

    Args:
        mesh: the mesh.
        regressors: its joint regressors.
        spaces: shape directions by gender.
        people: the population by gender.
        unseen: bodies that took no part in any fit, by kind.
    """
    return {
        "population": {gender: _figures(mesh, bodies) for gender, bodies in people.items()},
        "published": PUBLISHED,
        "variance_share": {name: _rounded(space.variance_share) for name, space in spaces.items()},
        "phenotypes": {gender: _phenotypes(spaces[gender], bodies) for gender, bodies in people.items()},
        "thigh_share_of_leg": {
            gender: {
                "anny_bones": _thigh_share(bodies.joints),
                "regressed": _thigh_share(_regressed(regressors, bodies)),
            }
            for gender, bodies in people.items()
        },
        "regressor_error_mm": {kind: _all_errors(regressors, bodies) for kind, bodies in unseen.items()},
        "weights_per_vertex_most": int((mesh.weights > 0).sum(axis=1).max()),
    }


def _figures(mesh: Mesh, people: Population) -> dict[str, Any]:
    tall, heavy = stature(people.vertices), mass(people.vertices, mesh.faces)
    figures = {"stature_m": tall, "mass_kg": heavy, "body_mass_index": heavy / tall**2}
    return {
        name: {
            "mean": round(float(values.mean()), 3),
            "deviation": round(float(values.std(ddof=1)), 3),
            "percentiles_5_50_95": _rounded(np.percentile(values, [5, 50, 95])),
        }
        for name, values in figures.items()
    }


def _phenotypes(space: ShapeSpace, people: Population) -> dict[str, Any]:
    """What of the shape each of Anny's phenotypes makes, and which coefficient tells of it."""
    shapes = (people.vertices - space.mean).reshape(len(people.vertices), -1)
    directions = space.directions.reshape(shapes.shape[1], -1)
    betas = shapes @ directions / (directions**2).sum(axis=0)
    betas = (betas - betas.mean(axis=0)) / betas.std(axis=0)
    figures = {}
    for name in PHENOTYPES:
        values = people.phenotypes[name]
        values = (values - values.mean()) / values.std()
        slope = values @ shapes / len(values)
        figures[name] = {
            "variance_share": round(float((slope**2).sum() * len(values) / (shapes**2).sum()), 4),
            "correlation": _rounded(values @ betas / len(values)),
        }
    return figures


def _regressed(regressors: Regressors, people: Population) -> Points:
    placed = np.einsum("jv,nvi->jni", regressors.joints, people.vertices)
    return dict(zip(people.joints, placed, strict=True))


def _thigh_share(joints: Points) -> dict[str, float]:
    """How far down from hip to ankle the knee lies."""
    hip, knee, ankle = (joints[f"left_{name}"] for name in ("hip", "knee", "ankle"))
    leg = ankle - hip
    share = ((knee - hip) * leg).sum(axis=1) / (leg**2).sum(axis=1)
    return {
        "mean": round(float(share.mean()), 4),
        "deviation": round(float(share.std(ddof=1)), 4),
        "least": round(float(share.min()), 4),
        "most": round(float(share.max()), 4),
    }


def _all_errors(regressors: Regressors, people: Population) -> dict[str, dict[str, dict[str, float]]]:
    return {
        "joints24": _errors(regressors.joints, people.joints, people.vertices),
        "extra9": _errors(regressors.extra, people.extra, people.vertices),
        "h36m17": _errors(regressors.h36m, people.h36m, people.vertices),
    }


def _errors(
    rows: Float[ndarray, "J V"], points: Points, vertices: Float[ndarray, "N V 3"]
) -> dict[str, dict[str, float]]:
    errors = {}
    for row, (name, target) in zip(rows, points.items(), strict=True):
        distance = 1000 * np.linalg.norm(np.einsum("v,nvi->ni", row, vertices) - target, axis=1)
        errors[name] = {"mean": round(float(distance.mean()), 2), "most": round(float(distance.max()), 2)}
    return errors


def _rounded(values: ndarray) -> list[float]:
    return [round(float(value), 4) for value in values]


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
