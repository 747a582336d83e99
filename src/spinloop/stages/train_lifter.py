"""Command `train_lifter`."""

from pathlib import Path
from typing import Annotated

from typer import Option

from spinloop.options import BodyFile, Out, ParamsFile, PriorFile, StateFolder


def run(
    *,
    body: BodyFile,
    prior: PriorFile,
    out: Annotated[Out, Option(help="Lifting network.")],
    metrics: Annotated[Out, Option(help="Errors on held-out people (JSON).")],
    state: StateFolder = Path(".state"),
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Train the network that lifts 2D keypoints to 3D, a start of the offline fits.

    It is trained on simulated people only. After a stop, the same command resumes from the last checkpoint.
    """
    import torch

    from spinloop.body.files import load_body
    from spinloop.files import sha256_of, write_json
    from spinloop.lifting.network import save_lifter
    from spinloop.lifting.training import LifterTraining, lifter_made_from
    from spinloop.motion.mixture import load_mixture
    from spinloop.params.fitting import LifterParams
    from spinloop.params.loader import load_section
    from spinloop.pipeline.code import digest_of_command
    from spinloop.progress import rate, say
    from spinloop.resume import Checkpoint

    lifter = load_section(params, "lifter", LifterParams)
    training = LifterTraining(load_body(body), load_mixture(prior), lifter)
    contents = {"body": sha256_of(body), "prior": sha256_of(prior)}
    made_from = lifter_made_from(lifter, contents, digest_of_command("train_lifter"))
    checkpoint = Checkpoint(state / "train_lifter", made_from, "train_lifter")
    with checkpoint.in_use():
        checkpoint.restore(training.load_state_dict)
        steps = rate(training.steps(), "train_lifter", lifter.n_steps - training.n_done, "steps")
        for _ in steps:
            if training.n_done % lifter.checkpoint_every == 0 and training.n_done < lifter.n_steps:
                checkpoint.save(training.state_dict())
        errors = training.held_out_errors()
        save_lifter(out, training.network, lifter.network, getattr(torch, lifter.stored_as))
        write_json(metrics, {"n": lifter.n_held_out, "n_steps": lifter.n_steps, **errors})
        checkpoint.finish(keep=False)
    say(f"train_lifter: {lifter.n_steps} steps; PA-MPJPE of held-out people {errors['pa_mpjpe_mm']:.0f} mm")
