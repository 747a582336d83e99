"""Run a trained network over a split and measure it under the split's protocol."""

from pathlib import Path

from spinloop.evaluation.measure import Reference, measure
from spinloop.evaluation.predict import crop_source, lineage, predict, save_predictions
from spinloop.evaluation.protocols import protocol_of_split
from spinloop.evaluation.scores import summarize
from spinloop.evaluation.truth import NEUTRAL, load_body_files, pose_with, rows_of
from spinloop.files import write_json
from spinloop.params.evaluation import EvaluateParams
from spinloop.params.fitting import PosingParams
from spinloop.params.loader import load_section
from spinloop.regression.weights import load_network
from spinloop.tables.crops import CropReader
from spinloop.tables.records import load_records

SECTIONS = {"evaluate": EvaluateParams, "body": PosingParams}


def run(
    *,
    setting: str,
    split: str,
    network: Path,
    crops: Path,
    annotations: Path,
    body_neutral: Path,
    body_female: Path,
    body_male: Path,
    predictions_out: Path,
    metrics_out: Path,
    params: Path = Path("params.yaml"),
) -> None:
    """Predict the body of every person that has a crop; compare as `evaluate.splits` says.

    Args:
        setting: name of the training that made the network; kept with the results.
        split: the test split; names its protocol.
        network: weights.
        crops: packed crops of the split, with masks where the protocol compares masks.
        annotations: the split's table.
        body_neutral: the body that the network speaks of.
        body_female: the body of annotated women.
        body_male: the body of annotated men.
        predictions_out: every prediction and its errors (HDF5).
        metrics_out: means and intervals (JSON).
        params: the parameter file.
    """
    section = load_section(params, "evaluate", EvaluateParams)
    protocol = protocol_of_split(section, split)
    model, sizes = load_network(network)
    files = load_body_files(body_neutral, body_female, body_male)
    bodies = pose_with(files, load_section(params, "body", PosingParams).engine)
    everybody = load_records(annotations)
    with CropReader(crops) as reader:
        records = everybody.iloc[rows_of(everybody["id"].tolist(), reader.ids, annotations)]
        source = crop_source(reader, records, sizes.image_px)
        predictions = predict(model, bodies[NEUTRAL], reader.ids, source, section.batch_size)
        reference = Reference(annotations, records, bodies, files[NEUTRAL], reader)
        scores = measure(protocol, predictions, reference, section.batch_size)
    summary = summarize(scores, records, **section.bootstrap)
    named = {"setting": setting, "split": split}
    save_predictions(predictions_out, predictions, scores, named)
    made_from = lineage(section.numbers, weights=network, annotations=annotations, crops=crops)
    n_without_crop = len(everybody) - len(records)
    write_json(metrics_out, {**named, "n_without_crop": n_without_crop, "lineage": made_from, **summary})
