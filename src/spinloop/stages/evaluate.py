"""Command `evaluate`."""

from pathlib import Path
from typing import Annotated

from typer import Option

from spinloop.options import (
    AnnotationsTable,
    BodyFile,
    CropsFile,
    FemaleBodyFile,
    MaleBodyFile,
    ParamsFile,
    SettingName,
    SplitName,
)


def run(
    *,
    setting: SettingName,
    split: SplitName,
    network: Annotated[Path, Option(help="Weights.")],
    crops: CropsFile,
    annotations: AnnotationsTable,
    body_neutral: BodyFile,
    body_female: FemaleBodyFile,
    body_male: MaleBodyFile,
    predictions_out: Annotated[Path, Option(help="Every prediction and its errors (HDF5).")],
    metrics_out: Annotated[Path, Option(help="Means and intervals (JSON).")],
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Run a trained network over a split and measure it under the split's protocol.

    Predict the body of every person that has a crop; compare as `evaluate.splits` says.
    """
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
