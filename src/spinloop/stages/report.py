"""Write the report: tables, curves and pictures of all trainings on all test splits."""

from pathlib import Path

from spinloop.evaluation.truth import load_bodies
from spinloop.files import sha256_of_files
from spinloop.params.datasets import RawParams, SourcesParams
from spinloop.params.evaluation import EvaluateParams, ReportParams
from spinloop.params.fitting import BodyParams
from spinloop.params.loader import load_section
from spinloop.params.training import NetworkParams, SettingsParams, TrainParams
from spinloop.reporting.benchmarks import load_published
from spinloop.reporting.contents import Material, build_report, lineage_table
from spinloop.reporting.figures import draw_pictures
from spinloop.reporting.gather import (
    TrainFolders,
    compare_settings,
    files_in,
    load_dictionary,
    load_tested,
    occlusion_of,
    split_of,
)
from spinloop.reporting.pages import write_report
from spinloop.reporting.results import load_raw_lists, load_refits, load_settings, load_starts, load_stats
from spinloop.reporting.sentences import recipe

SECTIONS = {
    "evaluate": EvaluateParams,
    "report": ReportParams,
    "settings": SettingsParams,
    "network": NetworkParams,
    "train": TrainParams,
    "raw": RawParams,
    "sources": SourcesParams,
    "body": BodyParams,
}


def run(
    *,
    metrics: Path,
    training: Path,
    dictionary: Path,
    statistics: Path,
    predictions: Path,
    test_fits: Path,
    initial_fits: Path,
    final_fits: Path,
    annotations: Path,
    crops: Path,
    body_neutral: Path,
    body_female: Path,
    body_male: Path,
    published: Path,
    markdown_out: Path,
    html_out: Path,
    figures_out: Path,
    tables_out: Path,
    params: Path = Path("params.yaml"),
) -> None:
    """Put everything together: the trainings of `settings` on the splits of `evaluate`, as far as they exist.

    Args:
        metrics: folder of what the `evaluate…` stages and `fit_predictions` measured.
        training: folder of the loss curves.
        dictionary: folder of the dictionaries' quality over the steps.
        statistics: folder of what earlier steps read and kept; each file's name is the step's.
        predictions: folder of what `evaluate` predicted, and of each person's error from `evaluate_fits`.
        test_fits: folder of what `fit_predictions` fitted.
        initial_fits: folder of the fits before training.
        final_fits: folder of the fits after training.
        annotations: folder of the splits' tables.
        crops: folder of the splits' packed crops.
        body_neutral: the body of networks and fits.
        body_female: the body of annotated women.
        body_male: the body of annotated men.
        published: numbers of others.
        markdown_out: the report as Markdown.
        html_out: the report as one page.
        figures_out: folder of the Markdown's figures.
        tables_out: folder of the tables as CSV and LaTeX.
        params: the parameter file.
    """
    values = {key: load_section(params, key, model).model_dump() for key, model in SECTIONS.items()}
    measuring = load_section(params, "evaluate", EvaluateParams)
    shown = load_section(params, "report", ReportParams)
    sources = load_section(params, "sources", SourcesParams)
    datasets = load_section(params, "raw", RawParams).root
    tests = [split_of(key, sources, protocol) for key, protocol in measuring.splits.items()]
    trains = [split_of(key, sources) for key in measuring.dictionaries]
    choices = load_section(params, "settings", SettingsParams).root
    splits = (list(measuring.splits), list(measuring.dictionaries))
    settings = load_settings(choices, *splits, metrics, training, dictionary)
    engine = load_section(params, "body", BodyParams).engine
    bodies = load_bodies(body_neutral, body_female, body_male, engine)
    found = [load_tested(split, settings, predictions, test_fits, annotations, crops) for split in tests]
    tested = [each for each in found if each is not None]
    folders = TrainFolders(initial_fits, final_fits, predictions, annotations, crops)
    dictionaries = [load_dictionary(train, settings, folders) for train in trains]
    trained = [each for each in dictionaries if each is not None]
    results = [metrics, training, dictionary, predictions, test_fits, initial_fits, final_fits]
    inputs = files_in([*results, annotations, crops])
    inputs += [body_neutral, body_female, body_male, published]
    material = Material(
        settings=settings,
        trains=trains,
        tests=tests,
        refits=load_refits(metrics / "fits", list(measuring.splits)),
        comparisons=compare_settings(settings, tested, measuring),
        confidence=measuring.confidence,
        starts=load_starts(metrics / "starts", list(measuring.dictionaries)),
        occlusion={each.split.key: hidden for each in tested if (hidden := occlusion_of(each))},
        recipe=recipe(values["network"], values["train"]),
        published=load_published(published),
        stats=load_stats(statistics),
        stats_lineage=f"statistics {sha256_of_files(files_in([statistics]))}",
        statuses={each.split.key: each.statuses for each in trained},
        origins={each.split.key: each.origins for each in trained},
        pictures=draw_pictures(trained, tested, bodies, shown),
        lineage=lineage_table(
            inputs,
            list(dict.fromkeys(measuring.splits.values())),
            values,
            load_raw_lists(statistics, datasets),
        ),
        is_free_body=values["body"]["source"] == "free",
    )
    report = build_report(material)
    write_report(report, markdown_out, html_out, figures_out, tables_out)
