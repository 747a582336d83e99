"""Command `fit_predictions`."""

from pathlib import Path
from typing import Annotated

from typer import Option

from spinloop.options import (
    AnnotationsTable,
    BodyFile,
    CropsFile,
    FemaleBodyFile,
    LifterFile,
    MaleBodyFile,
    Out,
    ParamsFile,
    PriorFile,
    SplitName,
)


def run(
    *,
    split: SplitName,
    predictions: Annotated[
        Path, Option(help="Folder of the predictions of `evaluate` on this split, one file for each setting.")
    ],
    crops: CropsFile,
    annotations: AnnotationsTable,
    prior: PriorFile,
    lifter: LifterFile,
    body_neutral: BodyFile,
    body_female: FemaleBodyFile,
    body_male: MaleBodyFile,
    fits_out: Annotated[
        Out,
        Option(help="Folder of the fits and their errors: `mean.h5`, `lifted.h5`, `network_<setting>.h5`."),
    ],
    metrics_out: Annotated[Out, Option(help="Means and confidence intervals of networks and fits (JSON).")],
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Fit bodies to the 2D joints of test images, from each network's predictions and other starts.

    Everybody with enough 2D joints is fitted from each network's prediction, from the mean pose and from
    lifted keypoints; networks and fits are measured. A split without 2D joints gives a count of zero.
    """
    from spinloop.evaluation.offline_fits import fit_test_images
    from spinloop.evaluation.predictions import load_same_people
    from spinloop.evaluation.protocols import protocol_of_split
    from spinloop.evaluation.scores import Reference
    from spinloop.evaluation.summaries import lineage
    from spinloop.evaluation.truth import NEUTRAL, load_body_files, make_body_models, rows_of
    from spinloop.files import atomic, sha256_of_files, write_json
    from spinloop.fitting.starts import FittingSetup
    from spinloop.motion.mixture import load_mixture
    from spinloop.params.evaluation import EvaluateParams
    from spinloop.params.fitting import FitInitialParams, FittingParams, PosingParams
    from spinloop.params.loader import load_section
    from spinloop.params.training import SettingsParams
    from spinloop.tables.crops import CropReader
    from spinloop.tables.records import load_records

    section = load_section(params, "evaluate", EvaluateParams)
    fitting = load_section(params, "fitting", FittingParams)
    offline = load_section(params, "fit_initial", FitInitialParams)
    settings = load_section(params, "settings", SettingsParams).root
    protocol = protocol_of_split(section, split)
    paths = [predictions / f"{setting}.h5" for setting in settings]
    stored, records = load_same_people(paths), load_records(annotations)
    records = records.iloc[rows_of(records["id"].tolist(), stored[0].predictions.ids, annotations)]
    numbers = {"evaluate": section.numbers, "fitting": fitting.model_dump()}
    numbers["fit_initial"] = {"min_joints": offline.min_joints, **offline.lifted_start.model_dump()}
    made_from = lineage(numbers, annotations=annotations, prior=prior, lifter=lifter)
    made_from["predictions"] = sha256_of_files(paths)
    files = load_body_files(body_neutral, body_female, body_male)
    bodies = make_body_models(files, load_section(params, "body", PosingParams).engine)
    setup = FittingSetup(files[NEUTRAL], load_mixture(prior), fitting, offline)
    networks, named = dict(zip(settings, stored, strict=True)), {"split": split}
    with atomic(fits_out) as folder, CropReader(crops) as reader:
        folder.mkdir()
        reference = Reference(annotations, records, bodies, files[NEUTRAL], reader)
        found = fit_test_images(networks, reference, setup, lifter, protocol, section, folder, named)
    made = {"protocol": protocol.name, "lineage": made_from, "confidence": section.confidence}
    write_json(metrics_out, {**named, **made, **found})
