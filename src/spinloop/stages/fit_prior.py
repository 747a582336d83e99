"""Command `fit_prior`."""

import shutil
from pathlib import Path
from typing import Annotated

from typer import Option

from spinloop.errors import UserError
from spinloop.options import BindFrame, BoneNames, Out, ParamsFile


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
    bones: BoneNames = None,
    bind_frame: BindFrame = None,
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Fit the pose prior to recorded motion, or copy the one in the package.

    `prior.motion` names the recordings; without any, the prior in the package is copied. Clips without a
    single plausible pose are left out. A mixture of which no sample is plausible is refused.
    """
    from spinloop.files import atomic, write_json
    from spinloop.motion.mixture import PACKAGED_MIXTURE, load_log_likelihood, load_mixture, save_mixture
    from spinloop.motion.mixture_fit import fit_mixture, plausible_clips, plausible_share
    from spinloop.motion.readers import read_motion
    from spinloop.motion.skeleton import load_bone_names
    from spinloop.params.fitting import PriorParams
    from spinloop.params.loader import load_section

    prior = load_section(params, "prior", PriorParams)
    source = "shipped"
    if prior.motion is None:
        with atomic(out) as temporary:
            shutil.copyfile(PACKAGED_MIXTURE, temporary)
    else:
        named = None if bones is None else load_bone_names(bones)
        read = [clip for place in prior.motion for clip in read_motion(Path(place), named, bind_frame)]
        settings = prior.model_dump(exclude={"motion"})
        try:
            clips = plausible_clips(read)
            fitted = fit_mixture(clips, **settings)
        except ValueError as error:
            raise UserError(f"{params}: prior.motion: {error}; name more motion") from None
        if not plausible_share(fitted.mixture):
            raise UserError(
                f"{params}: prior.motion: no sample of its mixture is a plausible pose; name other motion"
            )
        source = f"{len(clips)} clips"
        save_mixture(out, fitted.mixture, fitted.log_likelihood)
    mixture = load_mixture(out)
    figures = {
        "source": source,
        "n_components": len(mixture.weights),
        "log_likelihood_nats": load_log_likelihood(out),
        "plausible_samples": round(plausible_share(mixture), 4),
    }
    write_json(report, figures)
