"""Fit the mixture of body poses on recorded motion, or take the one that comes with the package."""

import shutil
from importlib import resources
from pathlib import Path

from spinloop.errors import UserError
from spinloop.files import atomic
from spinloop.motion.fitting import fit_mixture
from spinloop.motion.folders import read_motion
from spinloop.motion.mixture import load_mixture, save_mixture
from spinloop.params.loader import load_section
from spinloop.params.prior import PriorParams

SECTIONS = {"prior": PriorParams}


def run(*, out: Path, params: Path = Path("params.yaml")) -> None:
    """Write the pose prior.

    Args:
        out: the mixture (npz).
        params: the parameter file; `prior.motion` decides between fitting and copying.
    """
    prior = load_section(params, "prior", PriorParams)
    if prior.motion is None:
        shipped = resources.files("spinloop") / "assets" / "cmu_mixture.npz"
        with resources.as_file(shipped) as source, atomic(out) as temporary:
            shutil.copyfile(source, temporary)
        load_mixture(out)
        return
    clips = [clip for place in prior.motion for clip in read_motion(Path(place))]
    try:
        fitted = fit_mixture(
            clips,
            prior.n_components,
            prior.frames_per_clip,
            prior.floor_std_rad,
            prior.unseen_std_rad,
            prior.seed,
        )
    except ValueError as error:
        raise UserError(f"{params}: prior.motion: {error}; name more motion") from None
    save_mixture(out, fitted.mixture, fitted.log_likelihood)
