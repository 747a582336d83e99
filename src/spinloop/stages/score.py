"""Command `score`."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from typer import Option

from spinloop.options import MAIN, Out, ParamsFile


def run(
    *,
    protocol: Annotated[
        list[str], Option(help="Name and version, e.g. `pw3d@1`; may be given several times.")
    ],
    predictions: Annotated[Path, MAIN, Option(help="Predictions (npz or HDF5).")],
    truth: Annotated[
        Path,
        Option(
            help="Table of the split (.parquet), or npz or HDF5 with `ids` and `joints`, or with "
            "`pose`, `betas` and `gender`."
        ),
    ],
    out: Annotated[Out | None, Option(help="Means and intervals by protocol (JSON).")] = None,
    body_neutral: Annotated[
        Path | None, Option(help="Neutral body, for predictions or truth that are poses and shapes.")
    ] = None,
    body_female: Annotated[Path | None, Option(help="Female body, for the truth.")] = None,
    body_male: Annotated[Path | None, Option(help="Male body, for the truth.")] = None,
    crops: Annotated[
        Path | None, Option(help="Packed crops of the split, for protocols that compare masks.")
    ] = None,
    units: Annotated[str, Option(help="Of predicted joints: m, cm or mm.")] = "m",
    axes: Annotated[
        str,
        Option(
            help="Of the predictions: y-down (x right, z away from the camera), y-up (z towards it) or z-up."
        ),
    ] = "y-down",
    joints: Annotated[
        str | None,
        Option(help="Set of predicted joints: h36m17, h36m17_right_leg_first, smpl24 or another known one."),
    ] = None,
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Score the predictions of any method under one or several protocols.

    Predictions and truth must be of the same people. A file of predictions is npz or HDF5 with `ids` and
    `joints` (N, 17, 3) in metres, or other joints and their `joint_names`, or `pose` (or `global_orient` and
    `body_pose`) and `betas`, and for masks also `camera`. Swapped sides, other axes and units are measured
    and said. The mean of each metric is printed with its bootstrap interval.
    """
    from spinloop.body.files import load_body
    from spinloop.evaluation.protocols import find_protocol
    from spinloop.evaluation.submissions import load_submission, score_submission
    from spinloop.evaluation.submitted import Declared
    from spinloop.evaluation.summaries import summarize
    from spinloop.files import write_json
    from spinloop.params.evaluation import EvaluateParams
    from spinloop.params.loader import load_section

    section = load_section(params, "evaluate", EvaluateParams)
    chosen = [find_protocol(name, "--protocol") for name in protocol]
    paths = {"neutral": body_neutral, "female": body_female, "male": body_male}
    bodies = {gender: load_body(path) for gender, path in paths.items() if path is not None}
    declared = Declared(units, axes, joints)
    submission = load_submission(predictions, truth, bodies, crops, declared)
    results = {}
    for each in chosen:
        scores = score_submission(each, submission)
        results[each.name] = summarize(scores, submission.records, **section.bootstrap)
        print("\n".join(_lines(each.name, each.metrics, results[each.name])))
    if out is not None:
        write_json(out, {"predictions": predictions.name, "truth": truth.name, "protocols": results})


def _lines(protocol: str, metrics: Sequence[str], summary: Mapping[str, Any]) -> Iterator[str]:
    yield f"{protocol}: {summary['n']} people"
    for name in metrics:
        if name in summary:
            low, high = summary[f"{name}_low"], summary[f"{name}_high"]
            digits = 3 if name.endswith("f1") else 2
            yield f"  {name:24} {summary[name]:8.{digits}f}  ({low:.{digits}f} to {high:.{digits}f})"
        else:
            yield f"  {name:24} not scored: it needs bodies on both sides"
