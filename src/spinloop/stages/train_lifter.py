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
    from spinloop.body.files import load_body
    from spinloop.files import fingerprint, write_json
    from spinloop.lifting.network import save_lifter
    from spinloop.lifting.training import LifterTraining
    from spinloop.motion.mixture import load_mixture
    from spinloop.params.fitting import LifterParams
    from spinloop.params.loader import load_section
    from spinloop.progress import rate, say
    from spinloop.training.checkpoint import Checkpoint

    lifter = load_section(params, "lifter", LifterParams)
    training = LifterTraining(load_body(body), load_mixture(prior), lifter)
    checkpoint = Checkpoint(state / "train_lifter", fingerprint(lifter.model_dump(), [body, prior]))
    if (saved := checkpoint.load()) is not None:
        training.load_state_dict(saved)
    steps = rate(training.steps(), "train_lifter", lifter.n_steps - training.n_done, "steps")
    for _ in steps:
        if training.n_done % lifter.checkpoint_every == 0 and training.n_done < lifter.n_steps:
            checkpoint.save(training.state_dict())
    errors = training.held_out_errors()
    save_lifter(out, training.network, lifter.network)
    write_json(metrics, {"n": lifter.n_held_out, "n_steps": lifter.n_steps, **errors})
    checkpoint.remove()
    say(f"train_lifter: {lifter.n_steps} steps; PA-MPJPE of held-out people {errors['pa_mpjpe_mm']:.0f} mm")
