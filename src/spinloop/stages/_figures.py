"""Glue of the report: where the people come from, and figures 4 and 5 from the files of earlier stages."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch

from spinloop.annotations.crops import CropReader
from spinloop.body.model import BodyModel
from spinloop.evaluation.compare import Scored
from spinloop.files import require_file
from spinloop.fitting.store import FitStore
from spinloop.geometry.camera import camera_to_translation
from spinloop.params.annotations import SourcesParams
from spinloop.params.evaluation import ReportParams
from spinloop.reporting.people import Sheet
from spinloop.reporting.pictures import Crops, Drawn, fits_sheet, predictions_sheet
from spinloop.reporting.results import Setting, Split


def split_of(records: pd.DataFrame, sources: SourcesParams) -> Split:
    """Where the people of a table come from.

    Args:
        records: a split's table; its ids begin with the split's key.
        sources: section `sources`; a dataset below a folder named `mirror` is one.
    """
    source = sources.root[str(records["id"].iloc[0]).split("/", 1)[0]]
    return Split(source.reader, "mirror" in Path(source.raw).parts)


def figure_4(
    people: Path,
    before: FitStore,
    after: FitStore,
    records: pd.DataFrame,
    crops: Path,
    body: BodyModel,
    params: ReportParams,
) -> Sheet:
    """Fits before and after training of people chosen by the change.

    Args:
        people: each person's error before and after (CSV of `evaluate_fits`).
        before: fits before training.
        after: fits after training.
        records: table of the training split.
        crops: packed crops of the training split.
        body: the neutral body.
        params: which ranks, how large.
    """
    errors = pd.read_csv(require_file(people, "run `spinloop evaluate_fits` first"))
    ids = errors["id"].tolist()
    columns = []
    for when, title, store in (("initial", "before", before), ("final", "after", after)):
        state = store.get(ids).state
        error = errors[f"{when}_pa_mpjpe_mm"].to_numpy(dtype=float)
        bodies = (state.pose.numpy(), state.betas.numpy(), state.translation.numpy())
        columns.append(Drawn(title, *bodies, error))
    with CropReader(crops) as reader:
        pictures = Crops(reader, records, params.tile_px)
        return fits_sheet(pictures, body, ids, columns[0], columns[1], params.fit_quantiles)


def figure_5(
    settings: Sequence[Setting],
    scored: Sequence[Scored],
    records: pd.DataFrame,
    crops: Path,
    body: BodyModel,
    params: ReportParams,
) -> Sheet:
    """Predictions of each setting's network for people chosen by the last one's error.

    Args:
        settings: the trainings.
        scored: predictions of their networks, for the same people.
        records: table of the test split.
        crops: packed crops of the test split.
        body: the neutral body.
        params: which ranks, how large.
    """
    columns = []
    for setting, (predicted, errors, _) in zip(settings, scored, strict=True):
        translation = camera_to_translation(torch.from_numpy(predicted.camera)).numpy()
        bodies = (predicted.rotations, predicted.betas, translation)
        columns.append(Drawn(setting.label, *bodies, errors["pa_mpjpe_mm"]))
    with CropReader(crops) as reader:
        pictures = Crops(reader, records, params.tile_px)
        return predictions_sheet(
            pictures, body, scored[0].predictions.ids, columns, params.prediction_quantiles
        )
