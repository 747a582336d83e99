"""Train the regressor in one setting: with the fit in the loop, or with static fits."""

from collections.abc import Mapping
from pathlib import Path

from spinloop.params.fitting import FittingParams, PosingParams
from spinloop.params.loader import load_section, require_choice
from spinloop.params.training import NetworkParams, SettingParams, TrainParams, WatchParams
from spinloop.progress import Pace, rate, say
from spinloop.regression.weights import save_network
from spinloop.training.distributed import joined_processes
from spinloop.training.loop import Run, train
from spinloop.training.setup import Folders, Inputs, Sections, prepare_run, save_fits

SECTIONS = {
    "network": NetworkParams,
    "train": TrainParams,
    "settings": SettingParams,
    "fitting": FittingParams,
    "watch": WatchParams,
    "body": PosingParams,
}


def run(
    *,
    setting: str,
    body: Path,
    prior: Path,
    keypoints: Path,
    crops: Path,
    fits: Path,
    annotations: Path | None = None,
    out: Path,
    fits_out: Path,
    snapshots: Path,
    history: Path,
    state: Path = Path(".state"),
    watch: Path = Path("logs/training"),
    params: Path = Path("params.yaml"),
) -> None:
    """Train; the same command goes on where a stopped run was.

    A folder holds a file for every split that `train.mixture` names: `<split>.parquet` or `<split>.h5`.

    Args:
        setting: name of the setting, a key of the section `settings`.
        body: the neutral body.
        prior: the mixture of poses (npz).
        keypoints: folder of merged keypoints.
        crops: folder of packed crops.
        fits: folder of initial fits.
        annotations: folder of record tables, for 3D joints and bodies.
        out: the trained network.
        fits_out: folder for the fits at the end of training.
        snapshots: folder for the copies of the fits during training.
        history: the training curve (CSV).
        state: folder for the state of an unfinished run.
        watch: folder for sheets and logs, which people look at.
        params: parameter file; sections `network`, `train`, `settings`, `fitting`, `watch`, `body`.
    """
    require_choice(params, "settings", setting, "--setting")
    sections = Sections(
        network=load_section(params, "network", NetworkParams),
        train=load_section(params, "train", TrainParams),
        setting=load_section(params, f"settings.{setting}", SettingParams),
        fitting=load_section(params, "fitting", FittingParams),
        watch=load_section(params, "watch", WatchParams),
        body=load_section(params, "body", PosingParams),
    )
    inputs = Inputs(body, prior, keypoints, crops, fits, annotations)
    folders = Folders(state / "train" / setting, watch / setting)
    with joined_processes(sections.train.device) as processes:
        training = prepare_run(inputs, sections, folders, processes)
        _watch(training, f"train {setting}")
        if processes.is_first:
            save_fits(training, inputs, fits_out, snapshots)
            training.history.write(history, sections.train.n_steps)
            save_network(out, training.apparatus.network, sections.network)
            training.checkpoint.remove()
            share = (training.apparatus.store.array("origin") == 2).mean()
            say(
                f"train {setting}: {sections.train.n_steps} steps; {share:.0%} of the fits came from the loop"
            )


def _watch(training: Run, description: str) -> None:
    """Train to the end, with a word to the person who watches."""
    params, history = training.params, training.history
    steps = train(training)
    resumed = len(next(steps))
    if training.processes.is_first:
        if resumed:
            say(f"{description}: goes on after step {resumed}")
        pace = Pace("images", params.batch_size, resumed, lambda: _fits_in_words(history.latest))
        steps = rate(steps, description, params.n_steps, pace)
    for _step in steps:
        pass


def _fits_in_words(latest: Mapping[str, float]) -> str:
    return f"{latest['accepted']:.0%} of fits accepted, {latest['stored_error']:.3g} px² stored"
