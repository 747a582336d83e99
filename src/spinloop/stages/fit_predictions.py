"""Fit bodies to the keypoints of test images, from the network and from the mean pose, and measure them."""

from pathlib import Path

from spinloop.annotations.crops import CropReader
from spinloop.annotations.record import load_records
from spinloop.evaluation.lineage import lineage
from spinloop.evaluation.measure import Reference, measure
from spinloop.evaluation.meshes import NEUTRAL, load_body_files, pose_with
from spinloop.evaluation.predict import load_predictions, save_predictions
from spinloop.evaluation.protocols import find_protocol
from spinloop.evaluation.refits import (
    image_keypoints,
    refit,
    reprojection,
    rows_to_fit,
    summarize_refits,
    take,
    unanchored,
)
from spinloop.evaluation.truth import MaskRows, rows_of
from spinloop.files import write_json
from spinloop.fitting.smplify import Fitter
from spinloop.motion.mixture import load_mixture
from spinloop.params.body import PosingParams
from spinloop.params.evaluation import EvaluateParams
from spinloop.params.fitting import FitInitialParams, FittingParams
from spinloop.params.loader import load_section

SECTIONS = {
    "evaluate": EvaluateParams,
    "fitting": FittingParams,
    "fit_initial": FitInitialParams,
    "body": PosingParams,
}


def run(
    *,
    setting: str,
    split: str,
    predictions: Path,
    crops: Path,
    annotations: Path,
    prior: Path,
    body_neutral: Path,
    body_female: Path,
    body_male: Path,
    fitted_out: Path,
    metrics_out: Path,
    params: Path = Path("params.yaml"),
) -> None:
    """Fit everybody with enough 2D joints; a split without 2D joints gives a count of zero.

    Args:
        setting: name of the training that made the network; kept with the results.
        split: the test split; names its protocol.
        predictions: what `evaluate` predicted.
        crops: packed crops of the split, for its masks.
        annotations: the split's table, with 2D joints.
        prior: the mixture of poses (npz).
        body_neutral: the body that is fitted.
        body_female: the body of annotated women.
        body_male: the body of annotated men.
        fitted_out: the fits from the network with their errors (HDF5).
        metrics_out: means and intervals of network and fits (JSON).
        params: the parameter file.
    """
    section = load_section(params, "evaluate", EvaluateParams)
    fitting = load_section(params, "fitting", FittingParams)
    rules = load_section(params, "fit_initial", FitInitialParams)
    protocol = find_protocol(section.protocol_of(split))
    everybody, records = load_predictions(predictions), load_records(annotations)
    records = records.iloc[rows_of(records["id"].tolist(), everybody.ids, annotations)]
    keypoints = image_keypoints(records)
    rows = rows_to_fit(keypoints, rules.min_joints)
    named = {"setting": setting, "split": split, "protocol": protocol.name, "n": len(rows)}
    numbers = {"evaluate": section.numbers, "fitting": fitting.model_dump(), "min_joints": rules.min_joints}
    made_from = lineage(numbers, predictions=predictions, annotations=annotations, prior=prior)
    summary = {**named, "lineage": made_from, "confidence": section.confidence}
    summary["n_without_keypoints"] = len(records) - len(rows)

    files = load_body_files(body_neutral, body_female, body_male)
    bodies = pose_with(files, load_section(params, "body", PosingParams).engine)
    records, keypoints, network = records.iloc[rows], keypoints[rows], take(everybody, rows)
    if len(rows) == 0:
        save_predictions(fitted_out, network, None, {"setting": setting, "split": split})
        write_json(metrics_out, summary)
        return
    fitter = Fitter(files[NEUTRAL], load_mixture(prior), unanchored(fitting))
    ways = refit(fitter, network, keypoints, bodies[NEUTRAL], section.batch_size)
    with CropReader(crops) as reader:
        masks = MaskRows(reader, [reader.index_of[key] for key in network.ids])
        reference = Reference(annotations, records, bodies, files[NEUTRAL], masks)
        scores = {name: measure(protocol, way, reference, section.batch_size) for name, way in ways.items()}
    summary |= {
        f"{name}_reprojection_px2": reprojection(fitter, way, keypoints) for name, way in ways.items()
    }
    summary |= summarize_refits(scores, records, **section.bootstrap)
    named = {"setting": setting, "split": split}
    save_predictions(fitted_out, ways["from_network"], scores["from_network"], named)
    write_json(metrics_out, summary)
