"""Command `evaluate_fits`."""

from pathlib import Path
from typing import Annotated

from typer import Option

from spinloop.options import (
    BodyFile,
    FemaleBodyFile,
    MaleBodyFile,
    Out,
    ParamsFile,
    SettingName,
    SplitName,
    TruthTable,
)


def run(
    *,
    setting: SettingName,
    split: SplitName,
    snapshots: Annotated[Path, Option(help="Snapshots of the fits during training (HDF5), of `train`.")],
    truth: TruthTable,
    body_neutral: BodyFile,
    body_female: FemaleBodyFile,
    body_male: MaleBodyFile,
    metrics_out: Annotated[Out, Option(help="Comparison of the first and the last snapshot (JSON).")],
    table_out: Annotated[Out, Option(help="Errors by snapshot (CSV).")],
    people_out: Annotated[Out, Option(help="Errors by person, first and last snapshot (CSV).")],
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Measure the fits during training against the true bodies of a mirror.

    The snapshots hold the best fit of every person at some steps of the training.
    """
    from spinloop.evaluation.dictionary import dictionary_table, evaluate_dictionary, people_table, save_table
    from spinloop.evaluation.protocols import protocol_of_dictionary
    from spinloop.evaluation.truth import load_body_files
    from spinloop.files import write_json
    from spinloop.params.evaluation import EvaluateParams
    from spinloop.params.loader import load_section

    section = load_section(params, "evaluate", EvaluateParams)
    protocol = protocol_of_dictionary(section, split)
    files = load_body_files(body_neutral, body_female, body_male)
    stored, errors, metrics = evaluate_dictionary(snapshots, truth, files, protocol, section)
    save_table(table_out, dictionary_table(stored, errors))
    save_table(people_out, people_table(stored, errors))
    write_json(metrics_out, {"setting": setting, "split": split, **metrics})
