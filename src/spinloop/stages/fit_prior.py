"""Command `fit_prior`."""

import shutil
from pathlib import Path
from typing import Annotated

from typer import Option

from spinloop.errors import UserError
from spinloop.options import Out, ParamsFile

_N_SAMPLES = 10_000


def run(
    *,
    out: Annotated[Out, Option(help="Pose prior, a mixture of Gaussians (npz).")],
    report: Annotated[
        Out,
        Option(
            help="Held-out log-likelihood (nats per pose) of a mixture of four fifths of the clips, "
            "and the share of the samples that are plausible poses (JSON)."
        ),
    ],
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Fit the pose prior to recorded motion, or copy the one in the package.

    `prior.motion` names the recordings; without any, the prior in the package is copied.
    """
    import numpy as np

    from spinloop.files import atomic, write_json
    from spinloop.motion.mixture import (
        PACKAGED_MIXTURE,
        is_plausible,
        load_log_likelihood,
        load_mixture,
        save_mixture,
    )
    from spinloop.motion.mixture_fit import fit_mixture
    from spinloop.motion.readers import read_motion
    from spinloop.params.fitting import PriorParams
    from spinloop.params.loader import load_section

    prior = load_section(params, "prior", PriorParams)
    if prior.motion is None:
        source = "shipped"
        with atomic(out) as temporary:
            shutil.copyfile(PACKAGED_MIXTURE, temporary)
    else:
        clips = [clip for place in prior.motion for clip in read_motion(Path(place))]
        source = f"{len(clips)} clips"
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
    mixture = load_mixture(out)
    samples = mixture.sample_unbounded(_N_SAMPLES, np.random.default_rng(0))
    figures = {
        "source": source,
        "n_components": len(mixture.weights),
        "log_likelihood_nats": load_log_likelihood(out),
        "plausible_samples": round(float(is_plausible(samples).mean()), 4),
    }
    write_json(report, figures)
