"""Train the regressor in one setting: with the fit in the loop, or with static fits."""

from pathlib import Path

from spinloop.errors import UserError
from spinloop.params.body import PosingParams
from spinloop.params.fitting import FittingParams
from spinloop.params.loader import load_section
from spinloop.params.training import NetworkParams, SettingParams, TrainParams
from spinloop.regression.weights import save_network
from spinloop.stages._progress import rate, say
from spinloop.training.loop import train
from spinloop.training.setup import Inputs, Sections, prepare_run, save_fits

SECTIONS = {
    "network": NetworkParams,
    "train": TrainParams,
    "settings": SettingParams,
    "fitting": FittingParams,
    "body": PosingParams,
}


def run(
    *,
    setting: str,
    body: Path,
    prior: Path,
    keypoints: list[Path],
    crops: list[Path],
    fits: list[Path],
    annotations: list[Path] | None = None,
    mean: Path | None = None,
    backbone: Path | None = None,
    out: Path,
    fits_out: list[Path],
    snapshots: list[Path],
    history: Path,
    state: Path = Path(".state"),
    params: Path = Path("params.yaml"),
) -> None:
    """Train; the same command goes on where a stopped run was. Per-split options are given once per split.

    Args:
        setting: name of the setting, a key of the section `settings`.
        body: the neutral body.
        prior: the mixture of poses (npz).
        keypoints: merged keypoints of a split.
        crops: packed crops of the split.
        fits: its initial fits.
        annotations: its record table, for 3D joints and bodies.
        mean: SPIN's smpl_mean_params.npz; derived from the prior if not given.
        backbone: torchvision's ImageNet weights; random weights if not given.
        out: the trained network.
        fits_out: the split's fits at the end of training.
        snapshots: copies of the split's fits during training.
        history: the training curve (CSV).
        state: folder for the state of an unfinished run.
        params: parameter file; sections `network`, `train`, `settings`, `fitting`, `body`.
    """
    if not len(keypoints) == len(fits_out) == len(snapshots):
        raise UserError("train: --keypoints, --fits-out, --snapshots: give each once for every split")
    sections = Sections(
        network=load_section(params, "network", NetworkParams),
        train=load_section(params, "train", TrainParams),
        setting=load_section(params, f"settings.{setting}", SettingParams),
        fitting=load_section(params, "fitting", FittingParams),
        body=load_section(params, "body", PosingParams),
    )
    inputs = Inputs(body, prior, keypoints, crops, fits, annotations or [], mean, backbone)
    training = prepare_run(inputs, sections, state / "train" / setting)
    n_steps = sections.train.n_steps
    for _steps in rate(train(training), f"train {setting}", n_steps, "steps"):
        pass
    save_fits(training, inputs, fits_out, snapshots)
    training.history.write(history, n_steps)
    save_network(out, training.apparatus.network, sections.network)
    training.checkpoint.remove()
    share = (training.apparatus.store.array("origin") == 2).mean()
    say(f"train {setting}: {n_steps} steps; {share:.0%} of the fits came from the loop")
