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
    Out,
    ParamsFile,
    SettingName,
    SplitName,
)


def run(
    *,
    setting: SettingName,
    split: SplitName,
    network: Annotated[Path, Option(help="Weights of the network, of `train`.")],
    crops: CropsFile,
    annotations: AnnotationsTable,
    body_neutral: BodyFile,
    body_female: FemaleBodyFile,
    body_male: MaleBodyFile,
    predictions_out: Annotated[Out, Option(help="Predictions and their errors (HDF5).")],
    metrics_out: Annotated[Out, Option(help="Means and confidence intervals (JSON).")],
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Run a trained network on a test split and measure it under the split's protocol.

    The body of every person with a crop is predicted. `evaluate.splits` names the protocol.
    """
    from spinloop.evaluation.predictions import save_predictions
    from spinloop.evaluation.protocols import protocol_of_split
    from spinloop.evaluation.summaries import evaluate_split
    from spinloop.evaluation.truth import load_body_files
    from spinloop.files import write_json
    from spinloop.params.evaluation import EvaluateParams
    from spinloop.params.fitting import PosingParams
    from spinloop.params.loader import load_section

    section = load_section(params, "evaluate", EvaluateParams)
    protocol = protocol_of_split(section, split)
    files = load_body_files(body_neutral, body_female, body_male)
    engine = load_section(params, "body", PosingParams).engine
    predictions, scores, metrics = evaluate_split(
        network, crops, annotations, files, protocol, engine, section
    )
    named = {"setting": setting, "split": split}
    save_predictions(predictions_out, predictions, named, scores.arrays, scores.attributes)
    write_json(metrics_out, {**named, **metrics})
