"""Command `report`."""

from pathlib import Path
from typing import Annotated

from typer import Option

from spinloop.options import BodyFile, FemaleBodyFile, MaleBodyFile, Out, ParamsFile


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
    markdown_out: Annotated[Out, Option(help="Report in Markdown.")],
    html_out: Annotated[Out, Option(help="Report as one HTML page.")],
    figures_out: Annotated[Out, Option(help="Folder of the figures of the Markdown report.")],
    tables_out: Annotated[Out, Option(help="Folder of the tables (CSV and LaTeX).")],
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Write the report: tables, curves and pictures of all trainings on all test splits.

    It shows the trainings in `settings` on the splits in `evaluate`, as far as there are results.
    """
    from spinloop.evaluation.truth import load_bodies
    from spinloop.params.datasets import RawParams, SourcesParams
    from spinloop.params.evaluation import EvaluateParams, ReportParams
    from spinloop.params.fitting import BodyParams
    from spinloop.params.loader import load_section
    from spinloop.params.training import NetworkParams, SettingsParams, TrainParams
    from spinloop.reporting.benchmarks import load_published
    from spinloop.reporting.inputs import ReportParameters, load_inputs
    from spinloop.reporting.page import write_report
    from spinloop.reporting.sections import build_report
    from spinloop.reporting.splits import ReportFolders

    sections = ReportParameters(
        evaluate=load_section(params, "evaluate", EvaluateParams),
        report=load_section(params, "report", ReportParams),
        settings=load_section(params, "settings", SettingsParams),
        network=load_section(params, "network", NetworkParams),
        train=load_section(params, "train", TrainParams),
        raw=load_section(params, "raw", RawParams),
        sources=load_section(params, "sources", SourcesParams),
        body=load_section(params, "body", BodyParams),
    )
    folders = ReportFolders(
        metrics=metrics,
        training=training,
        dictionary=dictionary,
        statistics=statistics,
        predictions=predictions,
        test_fits=test_fits,
        initial_fits=initial_fits,
        final_fits=final_fits,
        annotations=annotations,
        crops=crops,
    )
    bodies = load_bodies(body_neutral, body_female, body_male, sections.body.engine)
    files = [body_neutral, body_female, body_male, published]
    inputs = load_inputs(folders, files, bodies, load_published(published), sections)
    write_report(build_report(inputs), markdown_out, html_out, figures_out, tables_out)
