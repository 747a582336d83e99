"""Compare the starts of the offline fits on a mirror: how well they reproject, what they are worth in 3D."""

from pathlib import Path

import numpy as np
import torch

from spinloop.body.joints_only import JointsOnly
from spinloop.errors import UserError
from spinloop.evaluation.dictionary import posed_joints
from spinloop.evaluation.offline_fits import Bodies, compare_starts, measure_attempt
from spinloop.evaluation.predict import lineage
from spinloop.evaluation.protocols import protocol_of_dictionary
from spinloop.evaluation.truth import NEUTRAL, load_body_files, load_truth, rows_of
from spinloop.files import sha256_of_files, write_json
from spinloop.fitting.offline import keypoint_batches, part_files
from spinloop.fitting.starts import FittingSetup, Start, start_named
from spinloop.motion.mixture import load_mixture
from spinloop.params.evaluation import EvaluateParams
from spinloop.params.fitting import FitInitialParams, FittingParams
from spinloop.params.loader import load_section
from spinloop.progress import say
from spinloop.tables.fits import FAILURES, STATUSES, FitStore
from spinloop.tables.table import count_rows

SECTIONS = {"fitting": FittingParams, "fit_initial": FitInitialParams, "evaluate": EvaluateParams}


def run(
    *,
    split: str,
    start: list[str],
    fits: list[Path],
    keypoints: Path,
    truth: Path,
    lifter: Path,
    prior: Path,
    body_neutral: Path,
    body_female: Path,
    body_male: Path,
    out: Path,
    params: Path = Path("params.yaml"),
) -> None:
    """Reprojection and 3D error before and after the fits of each start, and failures.

    Args:
        split: the training split; names its protocol, see `evaluate.dictionaries`.
        start: name of a start; once for each.
        fits: folder of its fits' parts; once for each start, in the same order.
        keypoints: what was fitted (Parquet).
        truth: true bodies of the same people.
        lifter: file of the lifter.
        prior: the mixture of poses.
        body_neutral: the body of the fits.
        body_female: the body of true women.
        body_male: the body of true men.
        out: the comparison (JSON).
        params: parameter file; sections `fitting`, `fit_initial`, `evaluate`.
    """
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
        initial = _initial_bodies(start_named(name, setup, lifter), keypoints, store, rules.batch_size)
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


def _initial_bodies(start: Start, keypoints: Path, store: FitStore, batch_size: int) -> Bodies:
    """The bodies that the fits started from, in the order of the store."""
    n = count_rows(keypoints, "make it with `spinloop merge`")
    ids, parts = [], []
    for batch in keypoint_batches(keypoints, range(n), batch_size):
        placed = start.fitter.place(start.estimate(batch.keypoints), batch.keypoints)
        error = start.fitter.reprojection(placed, batch.keypoints).mean(-1)
        ids += batch.ids
        parts.append([part.numpy() for part in (placed.pose, placed.betas, error)])
    rows = rows_of(ids, store.ids, keypoints)
    return Bodies(*(np.concatenate(part)[rows] for part in zip(*parts, strict=True)))
