"""Measure the dictionary of fits over training against the truth of a mirror."""

from pathlib import Path

import torch

from spinloop.body.joints_only import JointsOnly
from spinloop.evaluation.dictionary import (
    dictionary_table,
    fit_errors,
    load_snapshots,
    people_table,
    posed_joints,
    save_table,
    summarize_fits,
)
from spinloop.evaluation.predict import lineage
from spinloop.evaluation.protocols import protocol_of_dictionary
from spinloop.evaluation.truth import load_body_files, load_truth, rows_of
from spinloop.files import write_json
from spinloop.params.evaluation import EvaluateParams
from spinloop.params.loader import load_section

SECTIONS = {"evaluate": EvaluateParams}


def run(
    *,
    setting: str,
    split: str,
    snapshots: Path,
    truth: Path,
    body_neutral: Path,
    body_female: Path,
    body_male: Path,
    metrics_out: Path,
    table_out: Path,
    people_out: Path,
    params: Path = Path("params.yaml"),
) -> None:
    """Errors of every person's best fit at each copy of the dictionary that training kept.

    Args:
        setting: name of the training; kept with the results.
        split: the training split; names its protocol, see `evaluate.dictionaries`.
        snapshots: copies of the dictionary (HDF5: ids, steps, pose, betas).
        truth: true bodies of the same people, which training never saw.
        body_neutral: the body of the fits.
        body_female: the body of true women.
        body_male: the body of true men.
        metrics_out: first and last copy compared (JSON).
        table_out: one row per copy (CSV).
        people_out: one row per person, first and last copy (CSV).
        params: the parameter file.
    """
    section = load_section(params, "evaluate", EvaluateParams)
    protocol = protocol_of_dictionary(section, split)
    copies, true_bodies = load_snapshots(snapshots), load_truth(truth)
    true_bodies = true_bodies.take(rows_of(true_bodies.ids, copies.ids, truth))
    bodies = {
        gender: JointsOnly(body, "h36m17", torch.float64)
        for gender, body in load_body_files(body_neutral, body_female, body_male).items()
    }
    true_joints = posed_joints(bodies, true_bodies.pose, true_bodies.betas, true_bodies.genders)
    errors = fit_errors(protocol, bodies, copies, true_joints)
    save_table(table_out, dictionary_table(copies, errors))
    save_table(people_out, people_table(copies, errors))
    summary = summarize_fits(copies, errors, **section.bootstrap)
    made_from = lineage(section.numbers, dictionary=snapshots, truth=truth)
    named = {"setting": setting, "split": split, "protocol": protocol.name, "lineage": made_from}
    write_json(metrics_out, {**named, **summary})
