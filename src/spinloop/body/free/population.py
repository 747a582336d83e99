"""Drawing adults: Anny's own distribution of body shapes, held to published statures.

Source: the stature of adults is WHO's growth reference for 5–19 years (2007) at 19 years.
"""

from typing import NamedTuple

import numpy as np
import torch
from anny.shape_distribution import SimpleShapeDistribution
from jaxtyping import Bool, Float
from numpy import ndarray

from spinloop.body.free.source import RestBodies, Source

# Phenotypes that Anny's calibration leaves free; drawn uniformly, as Anny does.
_FREE_PHENOTYPES = ("cupsize", "firmness", "african", "asian", "caucasian")
_CALIBRATED_PHENOTYPES = ("height", "weight", "muscle", "proportions")
# Anny calls a body male up to 0.5 and calibrated its statures over the whole half; the middle of each half
# keeps the calibrated mean and leaves out bodies between the sexes and beyond them.
_GENDER_RANGE = {False: (0.1, 0.4), True: (0.6, 0.9)}
# Bodies that are drawn at once before some of them are turned down; enough to know how their statures spread.
_DRAW = 1024

Phenotypes = dict[str, Float[ndarray, " N"]]


class Stature(NamedTuple):
    """A normal distribution of stature, metres."""

    mean: float
    deviation: float


# By `is_female`.
PUBLISHED_STATURE = {False: Stature(1.765, 0.073), True: Stature(1.632, 0.065)}


def sample_phenotypes(
    source: Source, n_bodies: int, is_female: bool, age_years: tuple[float, float], rng: np.random.Generator
) -> Phenotypes:
    """Phenotypes of random adults of one sex as Anny distributes them.

    Age is uniform; stature, weight, muscle and proportions follow Anny's distributions given age and sex.

    Args:
        source: Anny.
        n_bodies: how many.
        is_female: the sex.
        age_years: youngest and oldest, years.
        rng: the source of chance.

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


def draw_adults(
    source: Source, n_bodies: int, is_female: bool, age_years: tuple[float, float], rng: np.random.Generator
) -> RestBodies:
    """Random adults of one sex whose statures follow the published distribution.

    Anny's adults spread more in stature than people do (9 cm against 7 cm), so a drawn body is kept with a
    probability that falls with the distance of its stature from the published mean; all else stays Anny's.

    Args:
        source: Anny.
        n_bodies: how many.
        is_female: the sex.
        age_years: youngest and oldest, years.
        rng: the source of chance.
    """
    drawn: list[Phenotypes] = []
    proposed = Stature(np.nan, np.nan)
    while sum(len(batch["age"]) for batch in drawn) < n_bodies:
        batch = sample_phenotypes(source, _DRAW, is_female, age_years, rng)
        tall = source.statures(batch)
        if not drawn:
            proposed = Stature(float(tall.mean()), float(tall.std(ddof=1)))
        kept = _accepted(tall, proposed, PUBLISHED_STATURE[is_female], rng)
        drawn.append({name: values[kept] for name, values in batch.items()})
    return source.rest_bodies(
        {name: np.concatenate([batch[name] for batch in drawn])[:n_bodies] for name in drawn[0]}
    )


def _accepted(
    tall: Float[ndarray, " N"], proposed: Stature, wanted: Stature, rng: np.random.Generator
) -> Bool[ndarray, " N"]:
    """Rejection sampling from one normal distribution to a narrower one.

    The ratio of the two densities is itself a normal curve; its peak is made certain.

    Raises:
        ValueError: the proposed distribution is not the wider one.
    """
    precision = wanted.deviation**-2 - proposed.deviation**-2
    if precision <= 0:
        raise ValueError(
            f"drawn statures spread {proposed.deviation:.3f} m, less than {wanted.deviation:.3f} m"
        )
    peak = (wanted.mean * wanted.deviation**-2 - proposed.mean * proposed.deviation**-2) / precision
    return rng.uniform(0.0, 1.0, len(tall)) < np.exp(-0.5 * precision * (tall - peak) ** 2)


def draw_rig_bodies(
    source: Source, n_bodies: int, is_female: bool, age_years: tuple[float, float], rng: np.random.Generator
) -> RestBodies:
    """Adults of Anny's middle stature, on which its bones sit in the joints of its skin.

    At other statures Anny's bones slide along the limbs: the knee's bone lies 44 % of the way from hip to
    ankle at a height of 0.25 and 53 % at 0.75, while the knee of the skin stays near 49 % (as in people).
    Joints are therefore learnt where skin and bones agree.
    """
    phenotypes = sample_phenotypes(source, n_bodies, is_female, age_years, rng)
    return source.rest_bodies(phenotypes | {"height": np.full(n_bodies, 0.5)})
