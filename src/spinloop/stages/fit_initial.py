"""Command `fit_initial`."""

from pathlib import Path
from shutil import rmtree
from typing import Annotated

from typer import Option

from spinloop.errors import UserError
from spinloop.options import BodyFile, KeypointsTable, Out, ParamsFile, PriorFile, StateFolder


def run(
    *,
    body: BodyFile,
    prior: PriorFile,
    keypoints: KeypointsTable,
    out: Annotated[Out, Option(help="Fits of this part (HDF5).")],
    start: Annotated[
        str, Option(help="`mean`: the mean pose, fitted in stages; `lifted`: 2D keypoints lifted to 3D.")
    ] = "mean",
    lifter: Annotated[Path | None, Option(help="Network of `train_lifter`, for `--start lifted`.")] = None,
    shard: Annotated[int, Option(help="Number of the part, one of `fit_initial.shards`.")] = 0,
    state: StateFolder = Path(".state"),
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Fit a body to every person of a split: the fits that training starts with.

    One part of the split is fitted. After a stop, the same command resumes after the last finished batch.
    """
    from spinloop.body.files import load_body
    from spinloop.files import fingerprint
    from spinloop.fitting.offline import (
        describe_statuses,
        finished_batches,
        fit_batch,
        join_parts,
        keypoint_batches,
        part_files,
        shard_rows,
    )
    from spinloop.fitting.starts import FittingSetup, start_named
    from spinloop.motion.mixture import load_mixture
    from spinloop.params.fitting import FitInitialParams, FittingParams
    from spinloop.params.loader import load_section
    from spinloop.progress import rate, say
    from spinloop.tables.table import count_rows

    fitting = load_section(params, "fitting", FittingParams)
    rules = load_section(params, "fit_initial", FitInitialParams)
    n_shards = len(rules.shards)
    if shard not in rules.shards:
        raise UserError(f"--shard {shard}: not in {params}: fit_initial.shards; give 0 to {n_shards - 1}")
    setup = FittingSetup(load_body(body), load_mixture(prior), fitting, rules)
    chosen = start_named(start, setup, lifter)
    total = count_rows(keypoints, "make it with `spinloop merge`")
    rows = shard_rows(total, shard, n_shards)
    settings = [fitting.model_dump_json(), rules.model_dump_json(), start, f"{shard} of {n_shards}"]
    files = [body, prior, keypoints, *([lifter] if lifter and start == "lifted" else [])]
    # Named after the end of the path, so that parts of several splits can be made side by side.
    own_state = state / "fit_initial" / "_".join(out.resolve().with_suffix("").parts[-3:])
    folder = own_state / fingerprint(settings, files)[:20]

    batches = keypoint_batches(keypoints, rows, rules.batch_size)
    parts = finished_batches(
        folder, batches, lambda batch: fit_batch(chosen.fitter, batch, chosen.fit, rules)
    )
    for _ in rate(parts, f"fit {start} {out.stem}", len(rows), "fits"):
        pass
    joined = join_parts(part_files([folder]) if len(rows) else [], out)
    rmtree(own_state, ignore_errors=True)
    say(f"fit_initial: {len(rows)} people; {describe_statuses(joined.status_counts)}")
