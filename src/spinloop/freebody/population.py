"""Adults sampled from Anny with published statures, and the principal directions of their shapes.

Source: the stature of adults is WHO's growth reference for 5–19 years (2007) at 19 years.
"""

from typing import NamedTuple

import numpy as np
import torch
from anny.shape_distribution import SimpleShapeDistribution
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy.optimize import linear_sum_assignment

from spinloop.freebody.anny import AnnySource, RestBodies

# Phenotypes that Anny's calibration leaves free; sampled uniformly, as Anny does.
_FREE_PHENOTYPES = ("cupsize", "firmness", "african", "asian", "caucasian")
_CALIBRATED_PHENOTYPES = ("height", "weight", "muscle", "proportions")
# Anny's bodies are male up to 0.5, and its statures are calibrated over the whole half; the middle of each
# half keeps the calibrated mean and leaves out extreme and intermediate bodies.
_GENDER_RANGE = {False: (0.1, 0.4), True: (0.6, 0.9)}
# Bodies sampled at once before some are rejected; enough to estimate the spread of their statures.
_BATCH = 1024

Phenotypes = dict[str, Float[ndarray, " N"]]


class Stature(NamedTuple):
    """A normal distribution of stature, metres."""

    mean: float
    deviation: float


# By `is_female`.
PUBLISHED_STATURE = {False: Stature(1.765, 0.073), True: Stature(1.632, 0.065)}


def sample_phenotypes(
    source: AnnySource,
    n_bodies: int,
    is_female: bool,
    age_years: tuple[float, float],
    rng: np.random.Generator,
) -> Phenotypes:
    """Phenotypes of random adults of one sex as Anny distributes them.

    Age is uniform; stature, weight, muscle and proportions follow Anny's distributions given age and sex.

    Args:
        source: Anny.
        n_bodies: how many.
        is_female: sex.
        age_years: youngest and oldest, years.
        rng: source of random numbers.

    Returns:
        Phenotype values in [0, 1] by Anny's labels.
    """
    distribution = SimpleShapeDistribution(source.model)
    years = torch.as_tensor(rng.uniform(*age_years, n_bodies))
    age = distribution.morphological_age_mapping.morphological_to_anny_age(years)
    phenotypes = {"age": age.numpy(), "gender": rng.uniform(*_GENDER_RANGE[is_female], n_bodies)}
    sex = "girls" if is_female else "boys"
    for name in _CALIBRATED_PHENOTYPES:
        conditional = getattr(distribution, f"{sex}_conditional_{name}_distribution")
        alpha, beta = conditional.get_distribution_params(age)
        phenotypes[name] = rng.beta(alpha.numpy(), beta.numpy())
    for name in _FREE_PHENOTYPES:
        phenotypes[name] = rng.uniform(0.0, 1.0, n_bodies)
    return phenotypes


def sample_adults(
    source: AnnySource,
    n_bodies: int,
    is_female: bool,
    age_years: tuple[float, float],
    rng: np.random.Generator,
) -> RestBodies:
    """Random adults of one sex whose statures follow the published distribution.

    Statures of Anny's adults spread more than those of people (9 cm against 7 cm), so bodies are accepted
    with a probability that falls with the distance of their stature from the published mean.

    Args:
        source: Anny.
        n_bodies: how many.
        is_female: sex.
        age_years: youngest and oldest, years.
        rng: source of random numbers.
    """
    accepted: list[Phenotypes] = []
    proposed = Stature(np.nan, np.nan)
    while sum(len(batch["age"]) for batch in accepted) < n_bodies:
        batch = sample_phenotypes(source, _BATCH, is_female, age_years, rng)
        tall = source.statures(batch)
        if not accepted:
            proposed = Stature(float(tall.mean()), float(tall.std(ddof=1)))
        kept = _accepted(tall, proposed, PUBLISHED_STATURE[is_female], rng)
        accepted.append({name: values[kept] for name, values in batch.items()})
    return source.rest_bodies(
        {name: np.concatenate([batch[name] for batch in accepted])[:n_bodies] for name in accepted[0]}
    )


def _accepted(
    tall: Float[ndarray, " N"], proposed: Stature, wanted: Stature, rng: np.random.Generator
) -> Bool[ndarray, " N"]:
    """Rejection sampling from one normal distribution to a narrower one.

    The ratio of the two densities is itself a normal curve; at its peak every body is accepted.

    Raises:
        ValueError: the proposed distribution is not the wider one.
    """
    precision = wanted.deviation**-2 - proposed.deviation**-2
    if precision <= 0:
        raise ValueError(
            f"sampled statures spread {proposed.deviation:.3f} m, less than {wanted.deviation:.3f} m"
        )
    peak = (wanted.mean * wanted.deviation**-2 - proposed.mean * proposed.deviation**-2) / precision
    return rng.uniform(0.0, 1.0, len(tall)) < np.exp(-0.5 * precision * (tall - peak) ** 2)


def sample_rig_bodies(
    source: AnnySource,
    n_bodies: int,
    is_female: bool,
    age_years: tuple[float, float],
    rng: np.random.Generator,
) -> RestBodies:
    """Adults of Anny's middle stature, at which its bones lie in the joints of its skin.

    At other statures Anny's bones slide along the limbs: the knee's bone lies 44 % of the way from hip to
    ankle at a height of 0.25 and 53 % at 0.75, while the knee of the skin stays near 49 % (as in people).
    Joint regressors are therefore fitted on these bodies.
    """
    phenotypes = sample_phenotypes(source, n_bodies, is_female, age_years, rng)
    return source.rest_bodies(phenotypes | {"height": np.full(n_bodies, 0.5)})


class ShapeSpace(NamedTuple):
    """Principal components: body(β) = mean + Σ β_k · directions[..., k], β_k of unit variance."""

    mean: Float[ndarray, "V 3"]
    directions: Float[ndarray, "V 3 K"]
    """Metres per standard deviation."""
    variance_share: Float[ndarray, " K"]
    """Share of the total variance that each direction explains."""


def principal_shapes(
    vertices: Float[ndarray, "N V 3"], faces: Int[ndarray, "F 3"], n_directions: int
) -> ShapeSpace:
    """Principal components, largest first.

    Signs are fixed: the first direction makes the body taller, every other one increases its volume.
    """
    mean = vertices.mean(axis=0)
    centered = (vertices - mean).reshape(len(vertices), -1)
    values, vectors = np.linalg.eigh(centered @ centered.T / (len(vertices) - 1))
    order = np.argsort(values)[::-1][:n_directions]
    # Unit eigenvector u of the Gram matrix with value λ: direction × its deviation = Xᵀu / √(N−1).
    scaled = (centered.T @ vectors[:, order]) / np.sqrt(len(vertices) - 1)
    directions = scaled.reshape(*mean.shape, n_directions)
    return ShapeSpace(mean, directions * _signs(mean, directions, faces), values[order] / values.sum())


def matched(space: ShapeSpace, reference: ShapeSpace) -> ShapeSpace:
    """The space with its directions reordered and signed to match those of `reference`."""
    mine = space.directions.reshape(-1, space.directions.shape[-1])
    theirs = reference.directions.reshape(-1, reference.directions.shape[-1])
    cosine = (mine / np.linalg.norm(mine, axis=0)).T @ (theirs / np.linalg.norm(theirs, axis=0))
    rows, columns = linear_sum_assignment(-np.abs(cosine))
    order = rows[np.argsort(columns)]
    signs = np.sign(cosine[order, np.arange(len(order))])
    return ShapeSpace(space.mean, space.directions[..., order] * signs, space.variance_share[order])


def volume(vertices: Float[ndarray, "N V 3"], faces: Int[ndarray, "F 3"]) -> Float[ndarray, " N"]:
    """Volume of closed meshes, cubic metres."""
    first, second, third = (vertices[:, faces[:, corner]] for corner in range(3))
    return (np.cross(first, second) * third).sum(axis=(1, 2)) / 6


def _signs(
    mean: Float[ndarray, "V 3"], directions: Float[ndarray, "V 3 K"], faces: Int[ndarray, "F 3"]
) -> Float[ndarray, " K"]:
    moved = np.moveaxis(directions, -1, 0)
    gain = volume(mean + moved, faces) - volume(mean - moved, faces)
    gain[0] = moved[0, mean[:, 1].argmax(), 1] - moved[0, mean[:, 1].argmin(), 1]
    return np.where(gain < 0, -1.0, 1.0)
