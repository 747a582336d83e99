"""Command `train`."""

from pathlib import Path
from typing import Annotated

from typer import Option

from spinloop.options import BodyFile, ParamsFile, PriorFile, SettingName, StateFolder


def run(
    *,
    setting: SettingName,
    body: BodyFile,
    prior: PriorFile,
    keypoints: Annotated[Path, Option(help="Folder of merged keypoints.")],
    crops: Annotated[Path, Option(help="Folder of packed crops.")],
    fits: Annotated[Path, Option(help="Folder of initial fits.")],
    annotations: Annotated[
        Path | None, Option(help="Folder of record tables, for 3D joints and bodies.")
    ] = None,
    out: Annotated[Path, Option(help="The trained network.")],
    fits_out: Annotated[Path, Option(help="Folder for the fits at the end of training.")],
    snapshots: Annotated[Path, Option(help="Folder for the copies of the fits during training.")],
    history: Annotated[Path, Option(help="The training curve (CSV).")],
    state: StateFolder = Path(".state"),
    watch: Annotated[Path, Option(help="Folder for sheets and logs, which people look at.")] = Path(
        "logs/training"
    ),
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Train the regressor in one setting: with the fit in the loop, or with static fits.

    After a stop, the same command resumes from the last checkpoint.

    A folder holds a file for every split that `train.mixture` names: `<split>.parquet` or `<split>.h5`.
    """
    from spinloop.params.loader import load_yaml, require_choice
    from spinloop.training.setup import TrainingFiles, TrainingSections, train_setting

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
