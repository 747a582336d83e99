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
    Out,
    ParamsFile,
    PriorFile,
    SplitName,
    TruthTable,
)


def run(
    *,
    split: SplitName,
    start: Annotated[list[str], Option(help="Name of a start; may be given several times.")],
    fits: Annotated[
        list[Path], Option(help="Folder of the fits' parts, once for each `--start`, in the same order.")
    ],
    keypoints: KeypointsTable,
    truth: TruthTable,
    lifter: LifterFile,
    prior: PriorFile,
    body_neutral: BodyFile,
    body_female: FemaleBodyFile,
    body_male: MaleBodyFile,
    out: Annotated[Out, Option(help="Comparison (JSON).")],
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Compare the starts of the offline fits on a mirror: reprojection error, 3D error, failures.

    Errors are measured before and after the fits of each start.
    """
    from spinloop.evaluation.offline_fits import evaluate_starts
    from spinloop.evaluation.protocols import protocol_of_dictionary
    from spinloop.evaluation.summaries import lineage
    from spinloop.evaluation.truth import NEUTRAL, load_body_files
    from spinloop.files import sha256_of_files, write_json
    from spinloop.fitting.offline import part_files
    from spinloop.fitting.starts import FittingSetup
    from spinloop.motion.mixture import load_mixture
    from spinloop.params.evaluation import EvaluateParams
    from spinloop.params.fitting import FitInitialParams, FittingParams
    from spinloop.params.loader import load_section
    from spinloop.progress import say

    if len(start) != len(fits):
        raise UserError("evaluate_starts: --start, --fits: give each once for every start; change the call")
    section = load_section(params, "evaluate", EvaluateParams)
    offline = load_section(params, "fit_initial", FitInitialParams)
    fitting = load_section(params, "fitting", FittingParams)
    files = load_body_files(body_neutral, body_female, body_male)
    setup = FittingSetup(files[NEUTRAL], load_mixture(prior), fitting, offline)
    protocol, folders = protocol_of_dictionary(section, split), dict(zip(start, fits, strict=True))
    summary = evaluate_starts(folders, keypoints, truth, lifter, setup, files, protocol, section)
    made_from = lineage(section.numbers, truth=truth, keypoints=keypoints, lifter=lifter)
    for name, folder in folders.items():
        made_from[f"fits from {name}"] = sha256_of_files(part_files([folder]))
    write_json(out, {"split": split, "protocol": protocol.name, "lineage": made_from, **summary})
    found = (f"{name} {summary['starts'][name]['final_pa_mpjpe_mm']['mean']:.1f} mm" for name in start)
    say(f"evaluate_starts: PA-MPJPE of the fits: {', '.join(found)}")
