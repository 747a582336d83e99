"""Command `evaluate_fits`."""

from pathlib import Path
from typing import Annotated

from typer import Option

from spinloop.options import (
    BodyFile,
    FemaleBodyFile,
    MaleBodyFile,
    ParamsFile,
    SettingName,
    SplitName,
    TruthTable,
)


def run(
    *,
    setting: SettingName,
    split: SplitName,
    snapshots: Annotated[Path, Option(help="Copies of the dictionary (HDF5: ids, steps, pose, betas).")],
    truth: TruthTable,
    body_neutral: BodyFile,
    body_female: FemaleBodyFile,
    body_male: MaleBodyFile,
    metrics_out: Annotated[Path, Option(help="First and last copy compared (JSON).")],
    table_out: Annotated[Path, Option(help="One row per copy (CSV).")],
    people_out: Annotated[Path, Option(help="One row per person, first and last copy (CSV).")],
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Measure the dictionary of fits over training against the truth of a mirror.

    Errors of every person's best fit at each copy of the dictionary that training kept.
    """
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
