"""Command `experiment`."""

import copy
import subprocess
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from spinloop.errors import UserError


def run(
    plan: Annotated[Path, Argument(help="The experiment (YAML; see `params/experiment.py`).")],
    *,
    out: Annotated[
        Path, Option(help="Folder for `results.json`, `table.md` and the state of unfinished trainings.")
    ],
    data: Annotated[Path, Option(help="The data of a pipeline that has run.")] = Path("data"),
    params: Annotated[Path, Option(help="The values that the plan changes.")] = Path("params.yaml"),
) -> None:
    """Train variants with several seeds and compare them: results, table and lineage in one folder.

    Run what is not yet in the results; a run that was stopped goes on.
    """
    from spinloop.files import atomic, read_json, sha256_of, write_json
    from spinloop.params.loader import load_yaml
    from spinloop.progress import say
    from spinloop.reporting.differences import Trial, seeds_markdown
    from spinloop.stages import _trial

    experiment, values = _read(plan), load_yaml(params)
    pairs = [(variant, seed) for seed in experiment.seeds for variant in experiment.variants]
    changed = {pair: _values(values, experiment, *pair, plan) for pair in pairs}
    results = out / "results.json"
    done: dict[str, Any] = read_json(results) if results.is_file() else {}
    for (variant, seed), own in changed.items():
        name, digest = f"{variant}/{seed}", _made_from(own, experiment)
        if done.get(name, {}).get("params") != digest:
            metrics = _trial.run_trial(own, experiment, data, out / "state" / variant / str(seed))
            done[name] = {"params": digest, "metrics": metrics}
            write_json(results, done)
            say(f"{name}: " + ", ".join(f"{key} {value:.1f}" for key, value in metrics.items()))
    names = _trial.metric_names(experiment)
    known = {pair: done["{}/{}".format(*pair)]["metrics"] for pair in pairs}
    trials = [Trial(*pair, {name: known[pair][name] for name in names}) for pair in pairs]
    lineage = {
        "command": f"spinloop experiment {plan} --out {out}",
        "code": _commit(),
        "plan": sha256_of(plan),
    }
    inputs = [data / "crops" / f"{split}.h5" for split in (*experiment.train_splits, *experiment.test_splits)]
    lineage |= {path.name: sha256_of(path) for path in inputs}
    with atomic(out / "table.md") as temporary:
        temporary.write_text(
            f"{experiment.description}\n\n{seeds_markdown(trials, experiment.baseline, lineage)}"
        )


def _made_from(values: dict[str, Any], experiment: Any) -> str:
    """Digest of what a training and its measurement depend on."""
    from spinloop.files import sha256_of

    used = {key: value for key, value in values.items() if key != "needs"}
    measured = (experiment.train_splits, experiment.test_splits)
    return sha256_of(repr((used, measured)).encode())


def _values(values: dict[str, Any], experiment: Any, variant: str, seed: int, plan: Path) -> dict[str, Any]:
    """The parameters of one training."""
    from spinloop.params.loader import lay_over

    own = copy.deepcopy(values)
    for wanted in (experiment.base, experiment.variants[variant], {"train": {"seed": seed}}):
        lay_over(own, wanted, plan)
    return own


def _read(plan: Path) -> Any:
    from pydantic import ValidationError

    from spinloop.params.evaluation import Experiment
    from spinloop.params.loader import load_yaml

    try:
        experiment = Experiment.model_validate(load_yaml(plan))
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"])
        raise UserError(f"{plan}: {where}: {fault['msg']}; mend the plan") from None
    if experiment.baseline not in experiment.variants:
        raise UserError(f"{plan}: baseline: {experiment.baseline} is no variant; name one of them")
    return experiment


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.strip() or "not in git"
