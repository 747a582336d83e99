"""A crowd in the background: people too small and too many to be annotated one by one."""

from collections.abc import Sequence

import numpy as np

from spinloop.mirror.people import Cast, Stance, sample_character, sample_root, stand
from spinloop.motion.mixture import Mixture
from spinloop.params.mirror import CocoParams

# Where they stand: x and z of the world, metres; the camera is on the +z side of the origin.
_NEAREST_M, _FARTHEST_M, _SPREAD_M = 2.0, 5.0, 1.8


def sample_crowd(
    params: CocoParams, cast: Cast, mixture: Mixture, rng: np.random.Generator
) -> Sequence[Stance]:
    """Nobody, or in the share of pictures that `params.crowd` names a group."""
    if rng.random() >= params.crowd:
        return ()
    poses = mixture.sample(params.crowd_people, rng)
    middle = rng.uniform(-_SPREAD_M, _SPREAD_M)
    crowd = []
    for pose in poses:
        place = np.array([middle + rng.normal(0, 0.8), -rng.uniform(_NEAREST_M, _FARTHEST_M)])
        character = sample_character(rng, sorted(cast.files), params.people)
        crowd.append(stand(cast, character, sample_root(rng, params.people), pose, place))
    return crowd
