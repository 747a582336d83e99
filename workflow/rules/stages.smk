"""One rule for each stage of dvc.yaml.

REQUIRED INPUTS: what the stage's `deps` name.
OUTPUTS: what its `outs`, `metrics` and `plots` name; logs/<stage>.log.

DVC says which stages are stale and keeps what they make; Snakemake starts them, several at once.
"""

import sys
import time
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger
from spinloop.pipeline.configuration import check_project
from spinloop.pipeline.dag import read_pipeline, read_state
from spinloop.errors import UserError
from spinloop.pipeline.record import record_all
from spinloop.pipeline.user_files import (
    leading_to,
    list_missing,
    missing_files,
    read_by,
)

# The commands of the stages are those of the environment that runs Snakemake, activated or not. The prefix takes
# the place of Snakemake's own, without which a failed stage would count as done, for `tee` succeeds.
shell.prefix(f"set -euo pipefail; export PATH={Path(sys.executable).parent}:$PATH; ")

try:
    if workflow.is_main_process:
        check_project(Path())
        STAGES, STALE = read_state(Path.cwd())
        MISSING = missing_files(Path(), STAGES)
    else:
        STAGES, STALE, MISSING = read_pipeline(Path.cwd()), set(), []
except UserError as error:
    raise WorkflowError(str(error))

# A plan can be made without them, and other targets can be; so it is a warning until a run needs them.
if needed := read_by(MISSING, [stage for stage in STAGES if stage.name in STALE]):
    logger.warning(list_missing(needed))


onstart:
    starting = {job.rule.name for job in workflow.dag.needrun_jobs()}
    stale = [stage for stage in leading_to(starting, STAGES) if stage.name in STALE]
    if needed := read_by(MISSING, stale):
        raise WorkflowError(list_missing(needed))


# A job records what it made; these are for jobs that found DVC busy.
onsuccess:
    record_all(Path.cwd())


onerror:
    record_all(Path.cwd())


# Contents decide (DVC), not the ages of files (Snakemake): a stale stage has one input more, which is new; the
# inputs of a fresh one count as ancient.
STALE_MARK = Path(".snakemake/stale")
if STALE:
    STALE_MARK.parent.mkdir(exist_ok=True)
    STALE_MARK.write_text(str(time.time_ns()))


def inputs_of(stage):
    if stage.name in STALE:
        return [*stage.inputs, str(STALE_MARK)]
    return [ancient(path) for path in stage.inputs]


for stage in STAGES:

    rule:
        name:
            stage.rule
        input:
            inputs_of(stage),
        output:
            stage.files,
            [directory(path) for path in stage.folders],
        log:
            f"logs/{stage.rule}.log",
        priority: stage.priority
        threads: stage.threads
        resources:
            **stage.resources,
        params:
            # A shell command in a loop is evaluated late and would see the last stage only; params are not.
            stage=stage.name,
        message:
            f"{stage.name}: {stage.description}"
        shell:
            "python -m spinloop.pipeline.job {params.stage:q} 2>&1 | tee {log:q}"
