"""Command `evaluate_starts`."""

from pathlib import Path
from typing import Annotated

from typer import Option

from spinloop.errors import UserError
from spinloop.options import (
    BodyFile,
    FemaleBodyFile,
    KeypointsTable,
    LifterFile,
    MaleBodyFile,
    ParamsFile,
    PriorFile,
    SplitName,
    TruthTable,
)


def run(
    *,
    split: SplitName,
    start: Annotated[list[str], Option(help="Name of a start; once for each.")],
    fits: Annotated[
        list[Path], Option(help="Folder of its fits' parts; once for each start, in the same order.")
    ],
    keypoints: KeypointsTable,
    truth: TruthTable,
    lifter: LifterFile,
    prior: PriorFile,
    body_neutral: BodyFile,
    body_female: FemaleBodyFile,
    body_male: MaleBodyFile,
    out: Annotated[Path, Option(help="The comparison (JSON).")],
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Compare the starts of the offline fits on a mirror: how well they reproject, what they are worth in 3D.

    Reprojection and 3D error before and after the fits of each start, and failures.
    """
    import torch

    from spinloop.body.joints_only import JointsOnly
    from spinloop.evaluation.dictionary import posed_joints
    from spinloop.evaluation.offline_fits import Bodies, compare_starts, initial_bodies, measure_attempt
    from spinloop.evaluation.predict import lineage
    from spinloop.evaluation.protocols import protocol_of_dictionary
    from spinloop.evaluation.truth import NEUTRAL, load_body_files, load_truth, rows_of
    from spinloop.files import sha256_of_files, write_json
    from spinloop.fitting.offline import part_files
    from spinloop.fitting.starts import FittingSetup, start_named
    from spinloop.motion.mixture import load_mixture
    from spinloop.params.evaluation import EvaluateParams
    from spinloop.params.fitting import FitInitialParams, FittingParams
    from spinloop.params.loader import load_section
    from spinloop.progress import say
    from spinloop.tables.fits import FAILURES, STATUSES, FitStore

    if len(start) != len(fits):
        raise UserError("evaluate_starts: --start, --fits: give each once for every start; change the call")
    section = load_section(params, "evaluate", EvaluateParams)
    rules = load_section(params, "fit_initial", FitInitialParams)
    files = load_body_files(body_neutral, body_female, body_male)
    setup = FittingSetup(
        files[NEUTRAL], load_mixture(prior), load_section(params, "fitting", FittingParams), rules
    )
    models = {gender: JointsOnly(body, "h36m17", torch.float64) for gender, body in files.items()}
    protocol = protocol_of_dictionary(section, split)
    people = load_truth(truth)
    attempts = {}
    for name, folder in zip(start, fits, strict=True):
        store = FitStore.join([FitStore.open(part) for part in part_files([folder])])
        true = people.take(rows_of(people.ids, store.ids, truth))
        true_joints = posed_joints(models, true.pose, true.betas, true.genders)
        initial = initial_bodies(start_named(name, setup, lifter), keypoints, store, rules.batch_size)
        fitted = Bodies(*(store.array(key) for key in ("pose", "betas", "error")))
        attempts[name] = measure_attempt(
            protocol, models, true_joints, initial, fitted, store.is_known, store.array("status")
        )
    summary = compare_starts(attempts, STATUSES, FAILURES, **section.bootstrap)
    made_from = lineage(section.numbers, truth=truth, keypoints=keypoints, lifter=lifter)
    made_from |= {
        f"fits from {name}": sha256_of_files(part_files([folder]))
        for name, folder in zip(start, fits, strict=True)
    }
    write_json(out, {"split": split, "protocol": protocol.name, "lineage": made_from, **summary})
    found = (f"{name} {summary['starts'][name]['final_pa_mpjpe_mm']['mean']:.1f} mm" for name in start)
    say(f"evaluate_starts: PA-MPJPE of the fits: {', '.join(found)}")
