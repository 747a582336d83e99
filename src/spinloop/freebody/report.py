"""Figures of the free bodies beside published ones: statures, masses, shape directions, regressor errors."""

from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from spinloop.freebody.build import FreeBodies, Mesh, Population, Regressors
from spinloop.freebody.joints import Points
from spinloop.freebody.population import PUBLISHED_STATURE, ShapeSpace, volume

# Density of a living body at mid-breath, kg/m³.
_DENSITY = 985.0

# Anny's phenotypes with a calibrated distribution.
PHENOTYPES = ("height", "weight", "muscle", "proportions", "age")
# Published figures of adults, shown beside those of the population.
PUBLISHED = {
    "who_2007_stature_at_19_years_m": {
        "female": PUBLISHED_STATURE[True]._asdict(),
        "male": PUBLISHED_STATURE[False]._asdict(),
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
    """From sole to head top, metres."""
    return vertices[..., 1].max(axis=1) - vertices[..., 1].min(axis=1)


def mass(vertices: Float[ndarray, "N V 3"], faces: Int[ndarray, "F 3"]) -> Float[ndarray, " N"]:
    """Volume of the closed mesh times the density of a living body, kilograms."""
    return _DENSITY * volume(vertices, faces)


def figures(bodies: FreeBodies) -> dict[str, Any]:
    """Figures of the population, the shape directions and the joint regressors, for a JSON file."""
    mesh, regressors = bodies.mesh, bodies.regressors
    return {
        "population": {sex: _figures(mesh, people) for sex, people in bodies.adults.items()},
        "published": PUBLISHED,
        "variance_share": {name: _rounded(space.variance_share) for name, space in bodies.spaces.items()},
        "phenotypes": {sex: _phenotypes(bodies.spaces[sex], people) for sex, people in bodies.adults.items()},
        "thigh_share_of_leg": {
            sex: {
                "anny_bones": _thigh_share(people.joints),
                "regressed": _thigh_share(_regressed(regressors, people)),
            }
            for sex, people in bodies.adults.items()
        },
        "regressor_error_mm": {
            kind: _all_errors(regressors, people) for kind, people in bodies.held_out.items()
        },
        "weights_per_vertex_most": int((mesh.weights > 0).sum(axis=1).max()),
    }


def _figures(mesh: Mesh, people: Population) -> dict[str, Any]:
    tall, heavy = stature(people.vertices), mass(people.vertices, mesh.faces)
    measures = {"stature_m": tall, "mass_kg": heavy, "body_mass_index": heavy / tall**2}
    return {
        name: {
            "mean": round(float(values.mean()), 3),
            "deviation": round(float(values.std(ddof=1)), 3),
            "percentiles_5_50_95": _rounded(np.percentile(values, [5, 50, 95])),
        }
        for name, values in measures.items()
    }


def _phenotypes(space: ShapeSpace, people: Population) -> dict[str, Any]:
    """Share of shape variance that each of Anny's phenotypes explains, and its correlation with each β."""
    shapes = (people.vertices - space.mean).reshape(len(people.vertices), -1)
    directions = space.directions.reshape(shapes.shape[1], -1)
    betas = shapes @ directions / (directions**2).sum(axis=0)
    betas = (betas - betas.mean(axis=0)) / betas.std(axis=0)
    found = {}
    for name in PHENOTYPES:
        values = people.phenotypes[name]
        values = (values - values.mean()) / values.std()
        slope = values @ shapes / len(values)
        found[name] = {
            "variance_share": round(float((slope**2).sum() * len(values) / (shapes**2).sum()), 4),
            "correlation": _rounded(values @ betas / len(values)),
        }
    return found


def _regressed(regressors: Regressors, people: Population) -> Points:
    placed = np.einsum("jv,nvi->jni", regressors.joints, people.vertices)
    return dict(zip(people.joints, placed, strict=True))


def _thigh_share(joints: Points) -> dict[str, float]:
    """Position of the knee along the line from hip to ankle, as a share of its length."""
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
