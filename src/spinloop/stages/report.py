"""Command `report`."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from typer import Option

from spinloop.options import BodyFile, FemaleBodyFile, MaleBodyFile, ParamsFile

_RESULT_FILES = (".csv", ".h5", ".json", ".parquet")


def run(
    *,
    metrics: Annotated[
        Path,
        Option(
            help="Folder of the metrics of `evaluate`, `evaluate_fits`, `evaluate_starts` and "
            "`fit_predictions`."
        ),
    ],
    training: Annotated[Path, Option(help="Folder of the training curves.")],
    dictionary: Annotated[Path, Option(help="Folder of the fits' errors during training.")],
    statistics: Annotated[
        Path, Option(help="Folder of the statistics of earlier stages, each file named after its stage.")
    ],
    predictions: Annotated[
        Path,
        Option(
            help="Folder of the predictions of `evaluate`, and of the errors by person of `evaluate_fits`."
        ),
    ],
    test_fits: Annotated[Path, Option(help="Folder of the fits of `fit_predictions`.")],
    initial_fits: Annotated[Path, Option(help="Folder of the fits before training.")],
    final_fits: Annotated[Path, Option(help="Folder of the fits after training.")],
    annotations: Annotated[Path, Option(help="Folder of the splits' tables.")],
    crops: Annotated[Path, Option(help="Folder of the splits' packed crops.")],
    body_neutral: BodyFile,
    body_female: FemaleBodyFile,
    body_male: MaleBodyFile,
    published: Annotated[Path, Option(help="Published numbers.")],
    markdown_out: Annotated[Path, Option(help="Report in Markdown.")],
    html_out: Annotated[Path, Option(help="Report as one HTML page.")],
    figures_out: Annotated[Path, Option(help="Folder of the figures of the Markdown report.")],
    tables_out: Annotated[Path, Option(help="Folder of the tables (CSV and LaTeX).")],
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Write the report: tables, curves and pictures of all trainings on all test splits.

    It shows the trainings in `settings` on the splits in `evaluate`, as far as there are results.
    """
    from spinloop.evaluation.truth import NEUTRAL, load_bodies
    from spinloop.files import sha256_of_files
    from spinloop.params.datasets import RawParams, SourcesParams
    from spinloop.params.evaluation import EvaluateParams, ReportParams
    from spinloop.params.fitting import BodyParams
    from spinloop.params.loader import load_section
    from spinloop.params.training import NetworkParams, SettingsParams, TrainParams
    from spinloop.reporting.benchmarks import load_published
    from spinloop.reporting.breakdowns import occlusion_errors
    from spinloop.reporting.differences import compare_trainings
    from spinloop.reporting.figures import figure_sheets
    from spinloop.reporting.fits import origin_counts, status_counts
    from spinloop.reporting.page import write_report
    from spinloop.reporting.results import (
        load_raw_summaries,
        load_refits,
        load_starts,
        load_statistics,
        load_trainings,
        split_info,
    )
    from spinloop.reporting.sections import ReportInputs, build_report, describe_recipe, lineage_table
    from spinloop.reporting.splits import ResultFolders, load_evaluated, load_fitted
    from spinloop.reporting.viewer import make_viewer

    sections = {
        "evaluate": (measuring := load_section(params, "evaluate", EvaluateParams)),
        "report": (figure_params := load_section(params, "report", ReportParams)),
        "settings": (settings := load_section(params, "settings", SettingsParams)),
        "network": load_section(params, "network", NetworkParams),
        "train": load_section(params, "train", TrainParams),
        "raw": (datasets := load_section(params, "raw", RawParams)),
        "sources": (sources := load_section(params, "sources", SourcesParams)),
        "body": (body := load_section(params, "body", BodyParams)),
    }
    values = {key: section.model_dump() for key, section in sections.items()}
    tests = [split_info(key, sources, protocol) for key, protocol in measuring.splits.items()]
    trains = [split_info(key, sources) for key in measuring.dictionaries]
    test_keys, train_keys = list(measuring.splits), list(measuring.dictionaries)
    trainings = load_trainings(settings.root, test_keys, train_keys, metrics, training, dictionary)
    folders = ResultFolders(predictions, test_fits, initial_fits, final_fits, annotations, crops)
    evaluated = [each for split in tests if (each := load_evaluated(split, trainings, folders))]
    fitted = [each for split in trains if (each := load_fitted(split, trainings, folders))]
    bodies = load_bodies(body_neutral, body_female, body_male, body.engine)
    inputs = _files_in([metrics, training, dictionary, *folders])
    inputs += [body_neutral, body_female, body_male, published]
    protocols = list(dict.fromkeys(measuring.splits.values()))
    report = build_report(
        ReportInputs(
            trainings=trainings,
            trains=trains,
            tests=tests,
            starts=load_starts(metrics / "starts", train_keys),
            refits=load_refits(metrics / "fits", test_keys),
            comparisons=compare_trainings(trainings, evaluated, measuring),
            confidence=measuring.confidence,
            occlusion={each.split.key: errors for each in evaluated if (errors := occlusion_errors(each))},
            recipe=describe_recipe(values["network"], values["train"]),
            published=load_published(published),
            statistics=load_statistics(statistics),
            statistics_lineage=f"statistics {sha256_of_files(_files_in([statistics]))}",
            statuses={each.split.key: status_counts(each) for each in fitted},
            origins={each.split.key: origin_counts(each) for each in fitted},
            figures=figure_sheets(fitted, evaluated, bodies[NEUTRAL], figure_params),
            viewer=make_viewer(evaluated[0], bodies, figure_params) if evaluated else None,
            lineage=lineage_table(inputs, protocols, values, load_raw_summaries(statistics, datasets.root)),
            is_free_body=body.source == "free",
        )
    )
    write_report(report, markdown_out, html_out, figures_out, tables_out)


def _files_in(folders: Iterable[Path]) -> list[Path]:
    """All results in some folders and below them, sorted; one folder may contain another."""
    found = {path for folder in folders for path in folder.rglob("*")}
    return sorted(path for path in found if path.is_file() and path.suffix in _RESULT_FILES)
