"""Experiments: trainings that differ in a few parameters, each with several seeds, on the pipeline's data.

Input files are those that `dvc.yaml` gives to the stages `collect_fits`, `train`, `evaluate_fits` and
`evaluate`, and the same functions train and evaluate. Variants are not stages: `params.yaml` holds one set of
values, and `dvc repro` would train all variants with all seeds.
"""

import copy
import itertools
import re
import shlex
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from spinloop.errors import UserError
from spinloop.evaluation.dictionary import evaluate_dictionary
from spinloop.evaluation.protocols import protocol_of_dictionary, protocol_of_split
from spinloop.evaluation.summaries import evaluate_split
from spinloop.evaluation.truth import load_body_files
from spinloop.files import atomic, read_json, sha256_of, write_json
from spinloop.fitting.offline import join_parts, part_files
from spinloop.params.evaluation import EvaluateParams, Experiment
from spinloop.params.fitting import PosingParams
from spinloop.params.loader import load_yaml, overlay, parse_section
from spinloop.pipeline.code import digest_of_command
from spinloop.progress import say
from spinloop.reporting.differences import Trial, seeds_markdown
from spinloop.training.setup import TrainingFiles, TrainingSections, train_setting

SETTING = "experiment"
"""The key of `settings` that every variant of a plan defines."""
_PLACEHOLDER = re.compile(r"\$\{([\w.]+)\}")


@dataclass(frozen=True)
class StageFiles:
    """Files of the pipeline's stages, from their commands in `dvc.yaml`.

    Args:
        dvc_yaml: the file.
        data: folder that takes the place of the first folder of each path.
    """

    dvc_yaml: Path
    data: Path

    def of(self, stage: str, values: Mapping[str, Any], **items: str) -> dict[str, Path]:
        """The options of a stage's command that are paths.

        Args:
            stage: name of the stage.
            values: a whole parameter file, for `${section.key}`.
            items: values of `${key}`, `${item}`, `${item.setting}` and the like, without `item.`.

        Raises:
            UserError: there is no such stage, or a placeholder has no value.
        """
        entry = load_yaml(self.dvc_yaml).get("stages", {}).get(stage)
        if entry is None:
            raise UserError(f"{self.dvc_yaml}: stages.{stage}: missing; restore the file of the project")
        command = _PLACEHOLDER.sub(
            lambda match: self._value(match[1], values, items), entry.get("do", entry)["cmd"]
        )
        options = itertools.pairwise(shlex.split(command))
        return {
            name.removeprefix("--").replace("-", "_"): self.data.joinpath(*Path(text).parts[1:])
            for name, text in options
            if name.startswith("--") and "/" in text
        }

    def _value(self, name: str, values: Mapping[str, Any], items: Mapping[str, str]) -> str:
        if (found := items.get(name.removeprefix("item."))) is not None:
            return found
        value: Any = values
        for part in name.split("."):
            if not isinstance(value, Mapping) or part not in value:
                raise UserError(f"{self.dvc_yaml}: ${{{name}}}: no such parameter; correct its name")
            value = value[part]
        return str(value)


def run_experiment(plan: Path, out: Path, data: Path, params: Path) -> None:
    """Train and evaluate what is not yet in the results, then write `table.md`; unfinished trainings resume.

    Args:
        plan: the plan (YAML), see `params.evaluation.Experiment`.
        out: folder of `results.json`, `table.md` and the state of unfinished trainings.
        data: data folder of a pipeline that has run; its `dvc.yaml` lies beside it.
        params: the parameter file that the plan changes.

    Raises:
        UserError: the plan is faulty, or a file of the pipeline is absent.
    """
    experiment, values = read_plan(plan), load_yaml(params)
    files = StageFiles(data.parent / "dvc.yaml", data)
    pairs = [(variant, seed) for seed in experiment.seeds for variant in experiment.variants]
    changed = {pair: _trial_values(values, experiment, *pair, plan) for pair in pairs}
    results = out / "results.json"
    done: dict[str, Any] = read_json(results) if results.is_file() else {}
    for (variant, seed), own in changed.items():
        name, digest = f"{variant}/{seed}", _digest(own, experiment)
        if done.get(name, {}).get("params") != digest:
            metrics = run_trial(own, experiment, files, out / "state" / variant / str(seed), plan)
            done[name] = {"params": digest, "metrics": metrics}
            write_json(results, done)
            say(f"{name}: " + ", ".join(f"{key} {value:.1f}" for key, value in metrics.items()))
    names = metric_names(experiment)
    known = {pair: done["{}/{}".format(*pair)]["metrics"] for pair in pairs}
    trials = [Trial(*pair, {name: known[pair][name] for name in names}) for pair in pairs]
    lineage = {
        "command": f"spinloop experiment {plan} --out {out}",
        "code": _commit(),
        "plan": sha256_of(plan),
    }
    for path in _crops(experiment, files, values):
        lineage[path.name] = sha256_of(path)
    table = seeds_markdown(trials, experiment.baseline, lineage)
    with atomic(out / "table.md") as temporary:
        temporary.write_text(f"{experiment.description}\n\n{table}")


def read_plan(path: Path) -> Experiment:
    """Read and check a plan.

    Raises:
        UserError: the plan is faulty.
    """
    try:
        experiment = Experiment.model_validate(load_yaml(path))
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"])
        raise UserError(f"{path}: {where}: {fault['msg']}; fix the plan") from None
    if experiment.baseline not in experiment.variants:
        raise UserError(f"{path}: baseline: {experiment.baseline} is no variant; name one of them")
    return experiment


def metric_names(experiment: Experiment) -> list[str]:
    """Names of the metrics of a trial, in the order of the table."""
    fits = [f"{when} fits of {split}" for split in experiment.train_splits for when in ("initial", "final")]
    return [*fits, *(f"network on {split}" for split in experiment.test_splits)]


def run_trial(
    values: Mapping[str, Any], experiment: Experiment, files: StageFiles, state: Path, plan: Path
) -> dict[str, float]:
    """Train once; PA-MPJPE of the initial and the final fits and of the network, mm, by `metric_names`.

    Args:
        values: a whole parameter file with the setting `experiment`.
        experiment: names the splits.
        files: files of the pipeline.
        state: folder of the state of an unfinished training.
        plan: file of the plan, for messages.
    """
    sections = TrainingSections.parse(values, SETTING, plan)
    evaluate = parse_section(values, "evaluate", EvaluateParams, plan)
    engine = parse_section(values, "body", PosingParams, plan).engine
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for split in sections.train.splits:
            parts = files.of("collect_fits", values, item=split)["part"]
            join_parts(part_files([parts]), folder / f"initial/{split}.h5")
        given = files.of("train", values, key=SETTING)
        inputs = {option: given[option] for option in ("body", "prior", "keypoints", "crops", "annotations")}
        train_setting(
            SETTING,
            TrainingFiles(**inputs, fits=folder / "initial"),
            sections,
            network_out=folder / "network.pt",
            fits_out=folder / "final",
            snapshots_out=folder / "snapshots",
            history_out=folder / "history.csv",
            state=state / "train" / SETTING,
            monitor=state / "watch" / SETTING,
            code=digest_of_command("experiment"),
            keep_state=False,
        )
        metrics = {}
        for split in experiment.train_splits:
            given = files.of("evaluate_fits", values, setting=SETTING, split=split)
            bodies = load_body_files(*(given[f"body_{gender}"] for gender in ("neutral", "female", "male")))
            protocol, snapshots = protocol_of_dictionary(evaluate, split), folder / f"snapshots/{split}.h5"
            fits = evaluate_dictionary(snapshots, given["truth"], bodies, protocol, evaluate).metrics
            for when in ("initial", "final"):
                metrics[f"{when} fits of {split}"] = float(fits[f"{when}_pa_mpjpe_mm"])
        for split in experiment.test_splits:
            given = files.of("evaluate", values, setting=SETTING, split=split)
            bodies = load_body_files(*(given[f"body_{gender}"] for gender in ("neutral", "female", "male")))
            protocol = protocol_of_split(evaluate, split)
            crops, annotations = given["crops"], given["annotations"]
            evaluated = evaluate_split(
                folder / "network.pt", crops, annotations, bodies, protocol, engine, evaluate
            )
            metrics[f"network on {split}"] = float(evaluated.metrics["pa_mpjpe_mm"])
        return metrics


def _trial_values(
    values: dict[str, Any], experiment: Experiment, variant: str, seed: int, plan: Path
) -> dict[str, Any]:
    """The parameters of one trial."""
    own = copy.deepcopy(values)
    for wanted in (experiment.base, experiment.variants[variant], {"train": {"seed": seed}}):
        overlay(own, wanted, plan)
    return own


def _digest(values: Mapping[str, Any], experiment: Experiment) -> str:
    """Digest of all parameters that a trial depends on; one in the results is not run again."""
    used = {key: value for key, value in values.items() if key != "needs"}
    measured = (experiment.train_splits, experiment.test_splits)
    return sha256_of(repr((used, measured)).encode())


def _crops(experiment: Experiment, files: StageFiles, values: Mapping[str, Any]) -> list[Path]:
    """Packed crops of the splits that are measured."""
    folder = files.of("train", values, key=SETTING)["crops"]
    tests = [files.of("evaluate", values, setting=SETTING, split=split) for split in experiment.test_splits]
    return [
        *(folder / f"{split}.h5" for split in experiment.train_splits),
        *(each["crops"] for each in tests),
    ]


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.strip() or "not in git"
