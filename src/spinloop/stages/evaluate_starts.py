"""Measure the offline fits of each start against the truth of a mirror."""

from pathlib import Path

import torch

from spinloop.body.joints_only import JointsOnly
from spinloop.errors import UserError
from spinloop.evaluation.fits import fit_errors, posed_joints
from spinloop.evaluation.lineage import lineage
from spinloop.evaluation.meshes import load_body_files
from spinloop.evaluation.protocols import find_joint_protocol
from spinloop.evaluation.starts import load_stores, stacked, summarize_starts
from spinloop.evaluation.truth import load_truth, rows_of
from spinloop.files import write_json
from spinloop.params.evaluation import EvaluateParams
from spinloop.params.loader import load_section

SECTIONS = {"evaluate": EvaluateParams}


def run(
    *,
    split: str,
    start: list[str],
    fits: list[Path],
    truth: Path,
    body_neutral: Path,
    body_female: Path,
    body_male: Path,
    metrics_out: Path,
    params: Path = Path("params.yaml"),
) -> None:
    """Errors of every person's offline fit, by start.

    Args:
        split: the training split; names its protocol, see `evaluate.dictionaries`.
        start: names of the starts, e.g. `mean`; the first is what the others are compared with.
        fits: the fits of each start (HDF5), in the same order.
        truth: true bodies of the same people.
        body_neutral: the body of the fits.
        body_female: the body of true women.
        body_male: the body of true men.
        metrics_out: one entry per start (JSON).
        params: the parameter file.
    """
    if len(start) != len(fits):
        raise UserError(f"--fits: given {len(fits)} times for {len(start)} starts; give one for each")
    section = load_section(params, "evaluate", EvaluateParams)
    protocol = find_joint_protocol(section.dictionary_protocol(split))
    stores, people = load_stores(fits), load_truth(truth)
    people = people.take(rows_of(people.ids, stores[0].ids, truth))
    bodies = {
        gender: JointsOnly(body, "h36m17", torch.float64)
        for gender, body in load_body_files(body_neutral, body_female, body_male).items()
    }
    true_joints = posed_joints(bodies, people.pose, people.betas, people.genders)
    errors = fit_errors(protocol, bodies, stacked(stores), true_joints)
    table = summarize_starts(start, stores, errors, **section.bootstrap)
    stored = {f"fits from {name}": path for name, path in zip(start, fits, strict=True)}
    made_from = lineage(section.numbers, truth=truth, **stored)
    named = {"split": split, "protocol": protocol.name, "lineage": made_from}
    numbers = {"confidence": section.confidence, "n": len(people.ids), "first": start[0], "starts": table}
    write_json(metrics_out, {**named, **numbers})
