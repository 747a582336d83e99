"""Train the regressor in one setting: with the fit in the loop, or with static fits."""

from pathlib import Path

from spinloop.params.fitting import FittingParams, PosingParams
from spinloop.params.loader import load_yaml, require_choice
from spinloop.params.training import MonitorParams, NetworkParams, SettingParams, TrainParams
from spinloop.training.setup import TrainingFiles, TrainingSections, train_setting

SECTIONS = {
    "network": NetworkParams,
    "train": TrainParams,
    "settings": SettingParams,
    "fitting": FittingParams,
    "watch": MonitorParams,
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
    train_setting(
        setting,
        TrainingFiles(body, prior, keypoints, crops, fits, annotations),
        TrainingSections.parse(load_yaml(params), setting, params),
        network_out=out,
        fits_out=fits_out,
        snapshots_out=snapshots,
        history_out=history,
        state=state / "train" / setting,
        monitor=watch / setting,
    )
