"""Command `doctor`."""

from pathlib import Path
from typing import Annotated

from rich.table import Column, Table
from rich.text import Text
from typer import Option

_COLORS = {"found": "green", "missing": "yellow", "faulty": "red"}


def run(
    *,
    folder: Annotated[Path, Option(help="Folder of your files; subfolders are searched.")] = Path("data/raw"),
) -> None:
    """List the licensed files that are found or missing, and what each of them enables.

    Nothing is changed, and no code in a file is run. Without these files, everything works on the free body
    and the mirrors.
    """
    from spinloop.body.licensed import body_files, file_by_name, find_licensed
    from spinloop.motion.mixture import load_mixture
    from spinloop.progress import table_console
    from spinloop.regression.hmr import load_mean
    from spinloop.regression.weights import read_official

    others = [
        file_by_name("smpl_mean_params.npz", "the regressor's published starting point", check=load_mean),
        file_by_name("gmm_08.pkl", "the pose prior of the published fits", check=load_mixture),
        file_by_name(
            "model_checkpoint.pt",
            "the published weights (`spinloop import_checkpoint`)",
            "visiondata.cis.upenn.edu/spin/model_checkpoint.pt",
            read_official,
        ),
    ]
    findings = find_licensed(folder, [*body_files(), *others])
    console = table_console()
    table = Table("file", "state", "enables", Column("where", overflow="fold"), box=None, pad_edge=False)
    for finding in findings:
        state = Text(finding.state, _COLORS[finding.state])
        # As text: rich would read brackets in a path or a reason as markup.
        table.add_row(finding.file.name, state, finding.file.enables, Text(finding.detail))
    console.print(table)
    missing = sum(finding.state != "found" for finding in findings)
    console.print(f"{len(findings) - missing} of {len(findings)} found under {folder}.")
