"""Run a trained network over a split and measure it under a protocol."""

from pathlib import Path

from spinloop.annotations.crops import CropReader
from spinloop.annotations.record import load_records
from spinloop.evaluation.meshes import NEUTRAL, load_bodies
from spinloop.evaluation.predict import crop_source, predict, save_predictions, score_predictions
from spinloop.evaluation.protocols import find_protocol
from spinloop.evaluation.scores import sequence_labels, summarize
from spinloop.evaluation.truth import load_truth, rows_of
from spinloop.files import write_json
from spinloop.params.body import PosingParams
from spinloop.params.evaluation import EvaluateParams
from spinloop.params.loader import load_section
from spinloop.regression.weights import load_network

SECTIONS = {"evaluate": EvaluateParams, "body": PosingParams}


def run(
    *,
    setting: str,
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
    """Predict the body of every person that has a crop; compare with the annotated body of its gender.

    Args:
        setting: name of the training that made the network; kept with the results.
        network: weights.
        crops: packed crops of the split.
        annotations: the split's table, with bodies.
        body_neutral: the body that the network speaks of.
        body_female: the body of annotated women.
        body_male: the body of annotated men.
        predictions_out: every prediction and its errors (HDF5).
        metrics_out: means and intervals (JSON).
        params: the parameter file.
    """
    section = load_section(params, "evaluate", EvaluateParams)
    engine = load_section(params, "body", PosingParams).engine
    protocol = find_protocol(section.protocol)
    model, sizes = load_network(network)
    bodies = load_bodies(body_neutral, body_female, body_male, engine)
    records, truth = load_records(annotations), load_truth(annotations)
    with CropReader(crops) as reader:
        rows = rows_of(truth.ids, reader.ids, annotations)
        records = records.iloc[rows]
        source = crop_source(reader, records, sizes.image_px)
        predictions = predict(model, bodies[NEUTRAL], reader.ids, source, section.batch_size)
    scores = score_predictions(protocol, predictions, truth.take(rows), bodies, section.batch_size)
    summary = summarize(scores, sequence_labels(records), **section.bootstrap)
    save_predictions(predictions_out, predictions, scores, {"setting": setting})
    write_json(metrics_out, {"setting": setting, "n_without_crop": len(truth.ids) - len(rows), **summary})
