"""Command `train`."""

from pathlib import Path
from typing import Annotated

from typer import Option

from spinloop.options import BodyFile, Out, ParamsFile, PriorFile, SettingName, StateFolder


def run(
    *,
    setting: SettingName,
    body: BodyFile,
    prior: PriorFile,
    keypoints: Annotated[Path, Option(help="Folder of merged keypoints.")],
    crops: Annotated[Path, Option(help="Folder of packed crops.")],
    fits: Annotated[Path, Option(help="Folder of initial fits.")],
    annotations: Annotated[
        Path | None, Option(help="Folder of tables of annotated people, for their 3D joints and bodies.")
    ] = None,
    listed: Annotated[
        Path | None,
        Option(help="Folder of the digests of `list_training`; crops and annotations must be those."),
    ] = None,
    out: Annotated[Out, Option(help="Trained network.")],
    fits_out: Annotated[Out, Option(help="Folder of the fits at the end of training.")],
    snapshots: Annotated[Out, Option(help="Folder of the snapshots of the fits during training.")],
    history: Annotated[Out, Option(help="Training curve (CSV).")],
    state: StateFolder = Path(".state"),
    watch: Annotated[Path, Option(help="Folder of contact sheets and logs.")] = Path("logs/training"),
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Train the regressor in one setting: with fits in the loop, or with static fits.

    A folder holds a file for every split in `train.mixture`: `<split>.parquet` or `<split>.h5`. After a
    stop, the same command resumes from the last checkpoint; if values were changed that decide what was
    trained, it names them and moves the checkpoint aside. With a constant learning rate a greater
    `train.n_steps` also continues a finished training.
    """
    from spinloop.params.loader import load_yaml, require_choice
    from spinloop.pipeline.code import digest_of_command
    from spinloop.training.setup import TrainingFiles, TrainingSections, train_setting

    require_choice(params, "settings", setting, "--setting")
    train_setting(
        setting,
        TrainingFiles(body, prior, keypoints, crops, fits, annotations, listed),
        TrainingSections.parse(load_yaml(params), setting, params),
        network_out=out,
        fits_out=fits_out,
        snapshots_out=snapshots,
        history_out=history,
        state=state / "train" / setting,
        monitor=watch / setting,
        code=digest_of_command("train"),
        keep_state=True,
    )
