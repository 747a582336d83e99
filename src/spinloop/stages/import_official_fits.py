"""Command `import_official_fits`."""

from functools import partial
from pathlib import Path
from typing import Annotated

from typer import Option

from spinloop.options import MAIN, KeypointsTable, Out, ParamsFile, PriorFile, SplitName


def run(
    *,
    file: Annotated[Path, MAIN, Option(help="File of fits, e.g. coco_fits.npy or coco.npz.")],
    extras: Annotated[Path, Option(help="Annotation file with the same rows, e.g. coco_2014_train.npz.")],
    split: SplitName,
    keypoints: KeypointsTable,
    body: Annotated[Path, Option(help="Body of the fits: your own SMPL file, converted.")],
    prior: PriorFile,
    out: Annotated[Out, Option(help="Fits (HDF5), as of `collect_fits`.")],
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Convert a file of SPIN's fits (static_fits, spin_fits).

    Fits and people are joined by row. Each fit gets a translation and is measured.
    """
    from spinloop.body.files import load_body
    from spinloop.datasets.spin import Extras
    from spinloop.fitting.offline import KeypointBatch, fit_batch, keypoint_batches
    from spinloop.fitting.results import OfficialFits
    from spinloop.fitting.smplify import Fitter
    from spinloop.motion.mixture import load_mixture
    from spinloop.params.fitting import FitInitialParams, FittingParams
    from spinloop.params.loader import load_section
    from spinloop.progress import progress, say
    from spinloop.tables.fits import FitStore
    from spinloop.tables.table import count_rows

    rules = load_section(params, "fit_initial", FitInitialParams)
    fitter = Fitter(load_body(body), load_mixture(prior), load_section(params, "fitting", FittingParams))
    people = Extras(extras, split)
    fits = OfficialFits(file, len(people))
    row_of = {name: row for row, name in enumerate(people.ids) if fits.is_valid[row]}
    count = count_rows(keypoints, "make it with `spinloop import_official`")
    batches = list(keypoint_batches(keypoints, range(count), rules.batch_size))
    store = FitStore([name for batch in batches for name in batch.ids], fitter.root_joint)
    for batch in progress(batches, f"import fits of {split}", len(batches)):
        known = [place for place, name in enumerate(batch.ids) if name in row_of]
        if known:
            some = KeypointBatch([batch.ids[place] for place in known], batch.keypoints[known])
            rows = [row_of[name] for name in some.ids]
            store.absorb(fit_batch(fitter, some, partial(fits.result, rows, fitter), rules))
    store.save(out)
    say(f"import_official_fits: {len(store)} people, {int(store.is_known.sum())} with a fit")
