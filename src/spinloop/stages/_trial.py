"""One training of an experiment, from the stages of the pipeline."""

import tempfile
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from spinloop.files import read_json
from spinloop.params.evaluation import Experiment
from spinloop.params.loader import load_section
from spinloop.params.training import TrainParams
from spinloop.stages import collect_fits, evaluate, evaluate_fits, train

_SETTING = "experiment"


def metric_names(experiment: Experiment) -> list[str]:
    """What `run_trial` measures, in the order of a table."""
    fits = [f"{when} fits of {split}" for split in experiment.train_splits for when in ("initial", "final")]
    return [*fits, *(f"network on {split}" for split in experiment.test_splits)]


def run_trial(values: dict[str, Any], experiment: Experiment, data: Path, state: Path) -> dict[str, float]:
    """Train once; PA-MPJPE of the first and the last fits and of the network, mm.

    Args:
        values: a whole parameter file, with the setting `experiment`.
        experiment: names the splits.
        data: of a pipeline that has run.
        state: folder for the state of the training.
    """
    bodies = {f"body_{gender}": data / f"body/{gender}.npz" for gender in ("neutral", "female", "male")}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        params = folder / "params.yaml"
        YAML(typ="safe").dump(values, params)
        start = values["fit_initial"]["start"]
        for split in load_section(params, "train", TrainParams).splits:
            parts = data / f"fits/parts/{split}/{start}"
            collect_fits.run(part=[parts], out=folder / f"initial/{split}.h5")
        train.run(
            setting=_SETTING,
            body=bodies["body_neutral"],
            prior=data / "prior/mixture.npz",
            keypoints=data / "keypoints",
            crops=data / "crops",
            fits=folder / "initial",
            annotations=data / "annotations",
            out=folder / "network.pt",
            fits_out=folder / "final",
            snapshots=folder / "snapshots",
            history=folder / "history.csv",
            state=state,
            watch=state / "watch",
            params=params,
        )
        metrics = {}
        for split in experiment.train_splits:
            evaluate_fits.run(
                setting=_SETTING,
                split=split,
                snapshots=folder / f"snapshots/{split}.h5",
                truth=data / f"truth/{split}.parquet",
                metrics_out=folder / "fits.json",
                table_out=folder / "fits.csv",
                people_out=folder / "people.csv",
                params=params,
                **bodies,
            )
            fits = read_json(folder / "fits.json")
            for when in ("initial", "final"):
                metrics[f"{when} fits of {split}"] = float(fits[f"{when}_pa_mpjpe_mm"])
        for split in experiment.test_splits:
            evaluate.run(
                setting=_SETTING,
                split=split,
                network=folder / "network.pt",
                crops=data / f"crops/{split}.h5",
                annotations=data / f"annotations/{split}.parquet",
                predictions_out=folder / "predictions.h5",
                metrics_out=folder / "test.json",
                params=params,
                **bodies,
            )
            metrics[f"network on {split}"] = float(read_json(folder / "test.json")["pa_mpjpe_mm"])
        return metrics
