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
    ParamsFile,
    PriorFile,
    SplitName,
)


def run(
    *,
    split: SplitName,
    predictions: Annotated[
        Path, Option(help="Folder of what `evaluate` predicted of it; every setting's is fitted.")
    ],
    crops: CropsFile,
    annotations: AnnotationsTable,
    prior: PriorFile,
    lifter: LifterFile,
    body_neutral: BodyFile,
    body_female: FemaleBodyFile,
    body_male: MaleBodyFile,
    fits_out: Annotated[
        Path,
        Option(help="Folder of the fits with their errors: `mean.h5`, `lifted.h5`, `network_<setting>.h5`."),
    ],
    metrics_out: Annotated[Path, Option(help="Means and intervals of networks and fits (JSON).")],
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Fit bodies to the keypoints of test images from each network, the mean pose and lifted 2D.

    Fit everybody with enough 2D joints; a split without 2D joints gives a count of zero.
    """
    from spinloop.evaluation.measure import Reference, measure
    from spinloop.evaluation.offline_fits import (
        Way,
        as_predictions,
        fits_from_each_start,
        image_keypoints,
        reprojection,
        rows_to_fit,
        summarize_refits,
        take,
    )
    from spinloop.evaluation.predict import lineage, load_scored, save_predictions
    from spinloop.evaluation.protocols import protocol_of_split
    from spinloop.evaluation.scores import sequence_labels
    from spinloop.evaluation.truth import NEUTRAL, MaskRows, load_body_files, pose_with, rows_of
    from spinloop.files import atomic, sha256_of_files, write_json
    from spinloop.fitting.starts import STARTS, FittingSetup
    from spinloop.motion.mixture import load_mixture
    from spinloop.params.evaluation import EvaluateParams
    from spinloop.params.fitting import FitInitialParams, FittingParams, PosingParams
    from spinloop.params.loader import load_section
    from spinloop.params.training import SettingsParams
    from spinloop.tables.crops import CropReader
    from spinloop.tables.records import load_records

    section = load_section(params, "evaluate", EvaluateParams)
    fitting = load_section(params, "fitting", FittingParams)
    rules = load_section(params, "fit_initial", FitInitialParams)
    settings = load_section(params, "settings", SettingsParams).root
    protocol = protocol_of_split(section, split)
    paths = [predictions / f"{setting}.h5" for setting in settings]
    networks, records = load_scored(paths), load_records(annotations)
    records = records.iloc[rows_of(records["id"].tolist(), networks[0].predictions.ids, annotations)]
    keypoints = image_keypoints(records)
    rows = rows_to_fit(keypoints, rules.min_joints)
    numbers = {"evaluate": section.numbers, "fitting": fitting.model_dump()}
    numbers["fit_initial"] = {"min_joints": rules.min_joints, **rules.lifted_start.model_dump()}
    made_from = lineage(numbers, annotations=annotations, prior=prior, lifter=lifter)
    made_from["predictions"] = sha256_of_files(paths)
    summary = {"split": split, "protocol": protocol.name, "lineage": made_from, "n": len(rows)}
    summary |= {"n_without_keypoints": len(records) - len(rows), "confidence": section.confidence}

    files = load_body_files(body_neutral, body_female, body_male)
    bodies = pose_with(files, load_section(params, "body", PosingParams).engine)
    setup = FittingSetup(files[NEUTRAL], load_mixture(prior), fitting, rules)
    judge = setup.fitter(anchor="none")
    records, keypoints = records.iloc[rows], keypoints[rows]
    predicted = {name: take(each.predictions, rows) for name, each in zip(settings, networks, strict=True)}
    found: dict[str, Way] = {}
    with atomic(fits_out) as folder, CropReader(crops) as reader:
        folder.mkdir()
        masks = MaskRows(reader, [reader.index_of[key] for key in records["id"]])
        reference = Reference(annotations, records, bodies, files[NEUTRAL], masks)
        for way, state in fits_from_each_start(predicted, keypoints, setup, lifter):
            fits = as_predictions(records["id"].tolist(), state, bodies[NEUTRAL], section.batch_size)
            scores = measure(protocol, fits, reference, section.batch_size)
            found[way] = Way(scores, reprojection(judge, fits, keypoints))
            save_predictions(folder / f"{way}.h5", fits, scores, {"split": split, "start": way})
    if found:
        before = {
            name: Way(each.scores(protocol, rows), reprojection(judge, predicted[name], keypoints))
            for name, each in zip(settings, networks, strict=True)
        }
        after = {name: found[f"network_{name}"] for name in settings}
        starts = {name: found[name] for name in STARTS}
        summary |= summarize_refits(before, after, starts, sequence_labels(records), **section.bootstrap)
    write_json(metrics_out, summary)
