"""Command `fit_initial`."""

from pathlib import Path
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
    from spinloop.files import sha256_of
    from spinloop.fitting.offline import (
        describe_statuses,
        finished_batches,
        fit_batch,
        fits_made_from,
        join_parts,
        keypoint_batches,
        part_files,
        shard_rows,
    )
    from spinloop.fitting.starts import FittingSetup, start_named
    from spinloop.motion.mixture import load_mixture
    from spinloop.params.fitting import FitInitialParams, FittingParams
    from spinloop.params.loader import load_section
    from spinloop.pipeline.code import digest_of_command
    from spinloop.progress import rate, say
    from spinloop.resume import State
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
    files = {"body": body, "prior": prior, "keypoints": keypoints}
    if lifter and start == "lifted":
        files["lifter"] = lifter
    contents = {name: sha256_of(path) for name, path in files.items()}
    made_from = fits_made_from(fitting, rules, start, shard, contents, digest_of_command("fit_initial"))
    # Named after the end of the path, so that parts of several splits can be made side by side.
    folder = state / "fit_initial" / "_".join(out.resolve().with_suffix("").parts[-3:])
    own_state = State(folder, made_from, f"fit_initial {out}")

    with own_state.in_use():
        batches = keypoint_batches(keypoints, rows, rules.batch_size)
        parts = finished_batches(
            own_state, batches, lambda batch: fit_batch(chosen.fitter, batch, chosen.fit, rules)
        )
        for _ in rate(parts, f"fit {start} {out.stem}", len(rows), "fits"):
            pass
        joined = join_parts(part_files([folder]) if len(rows) else [], out)
        own_state.finish(keep=False)
    say(f"fit_initial: {len(rows)} people; {describe_statuses(joined.status_counts)}")
