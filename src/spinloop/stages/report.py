"""Write the report: tables, curves and pictures of the trainings that are compared."""

from pathlib import Path

from spinloop.annotations.record import load_records
from spinloop.body.engine import make_body_model
from spinloop.body.files import load_body
from spinloop.evaluation.compare import load_scored, paired_change
from spinloop.evaluation.scores import sequence_labels
from spinloop.evaluation.truth import rows_of
from spinloop.fitting.status import STATUSES
from spinloop.fitting.store import ORIGINS, FitStore
from spinloop.params.annotations import SourcesParams
from spinloop.params.body import BodyParams
from spinloop.params.evaluation import EvaluateParams, ReportParams
from spinloop.params.loader import load_section
from spinloop.params.training import NetworkParams, TrainParams
from spinloop.reporting.contents import Material, build_report, lineage_table, recipe
from spinloop.reporting.inputs import count_names, load_settings, load_stats, same_length
from spinloop.reporting.pages import write_report
from spinloop.reporting.published import load_published
from spinloop.reporting.verdict import Change
from spinloop.stages._figures import figure_4, figure_5, split_of

SECTIONS = {
    "evaluate": EvaluateParams,
    "report": ReportParams,
    "network": NetworkParams,
    "train": TrainParams,
    "sources": SourcesParams,
    "body": BodyParams,
}


def run(
    *,
    setting: list[str],
    metrics: list[Path],
    predictions: list[Path],
    fits: list[Path],
    history: list[Path],
    fits_metrics: list[Path],
    fits_table: list[Path],
    fits_people: list[Path],
    initial_fits: Path,
    train_annotations: Path,
    train_crops: Path,
    test_annotations: Path,
    test_crops: Path,
    body: Path,
    stats: list[Path],
    published: Path,
    markdown_out: Path,
    html_out: Path,
    figures_out: Path,
    tables_out: Path,
    params: Path = Path("params.yaml"),
) -> None:
    """Put everything together; options that are given several times are one per setting, in the same order.

    Args:
        setting: names of the trainings; the last is compared with the first.
        metrics: what `evaluate` measured.
        predictions: what `evaluate` predicted.
        fits: stores of fits after training.
        history: loss curves.
        fits_metrics: what `evaluate_fits` measured.
        fits_table: quality of the dictionary over the steps.
        fits_people: each person's error before and after.
        initial_fits: store of fits before training.
        train_annotations: table of the training split.
        train_crops: packed crops of the training split.
        test_annotations: table of the test split.
        test_crops: packed crops of the test split.
        body: the neutral body.
        stats: statistics of earlier steps; each file's name is the step's.
        published: numbers of others.
        markdown_out: the report as Markdown.
        html_out: the report as one page.
        figures_out: folder of the Markdown's figures.
        tables_out: folder of the tables as CSV and LaTeX.
        params: the parameter file.
    """
    one_each = {
        "metrics": metrics, "predictions": predictions, "fits": fits, "history": history,
        "fits_metrics": fits_metrics, "fits_table": fits_table, "fits_people": fits_people,
    }  # fmt: skip
    same_length(setting, **one_each)
    measuring = load_section(params, "evaluate", EvaluateParams)
    shown = load_section(params, "report", ReportParams)
    sources = load_section(params, "sources", SourcesParams)
    scored = load_scored(predictions)
    settings = load_settings(
        setting, metrics, fits_metrics, history, fits_table, [each.joint_means_mm for each in scored]
    )
    trained, tested = load_records(train_annotations), load_records(test_annotations)
    tested = tested.iloc[rows_of(tested["id"].tolist(), scored[0].predictions.ids, test_annotations)]
    totals = [each.errors["pa_mpjpe_mm"] for each in scored]
    change = paired_change(totals[0], totals[-1], sequence_labels(tested), **measuring.bootstrap)
    model = make_body_model(load_body(body), load_section(params, "body", BodyParams).engine)
    before, after = FitStore.open(initial_fits), FitStore.open(fits[-1])
    inputs = [path for paths in one_each.values() for path in paths] + [
        initial_fits, train_annotations, train_crops, test_annotations, test_crops, body, published, *stats,
    ]  # fmt: skip
    values = {key: load_section(params, key, model).model_dump() for key, model in SECTIONS.items()}
    material = Material(
        settings=settings,
        train=split_of(trained, sources),
        test=split_of(tested, sources),
        change=Change(*change, len(tested)),
        recipe=recipe(values["network"], values["train"]),
        published=load_published(published),
        stats=load_stats(stats),
        statuses=count_names(before.array("status"), STATUSES),
        origins=count_names(after.array("origin"), ORIGINS),
        figure_4=figure_4(fits_people[-1], before, after, trained, train_crops, model, shown),
        figure_5=figure_5(settings, scored, tested, test_crops, model, shown),
        lineage=lineage_table(inputs, measuring.protocol, values),
        is_free_body=values["body"]["source"] == "free",
    )
    report = build_report(material)
    write_report(report, markdown_out, html_out, figures_out, tables_out)
