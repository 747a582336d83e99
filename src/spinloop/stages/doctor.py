"""Command `doctor`."""

from pathlib import Path
from typing import Annotated

from rich.table import Column, Table
from rich.text import Text
from typer import Option

_COLORS = {"found": "green", "missing": "yellow", "faulty": "red"}


def run(
    *,
    folder: Annotated[Path, Option(help="Where your files lie, in any subfolders.")] = Path("data/raw"),
) -> None:
    """Say which licence-bound files were found, what is missing, and what each of them enables.

    Look through a folder. Nothing is changed, and nothing in the files is run.

    Everything works without these files on the free body and the mirrors.
    """
    from spinloop.body.smpl import body_assets, examine, named_asset
    from spinloop.motion.mixture import load_mixture
    from spinloop.progress import table_console
    from spinloop.regression.hmr import load_mean
    from spinloop.regression.weights import read_official

    others = [
        named_asset("smpl_mean_params.npz", "the regressor's published starting point", check=load_mean),
        named_asset("gmm_08.pkl", "the pose prior of the published fits", check=load_mixture),
        named_asset(
            "model_checkpoint.pt",
            "the published weights (`spinloop import_checkpoint`)",
            "visiondata.cis.upenn.edu/spin/model_checkpoint.pt",
            read_official,
        ),
    ]
    findings = examine(folder, [*body_assets(), *others])
    console = table_console()
    table = Table("file", "state", "enables", Column("where", overflow="fold"), box=None, pad_edge=False)
    for finding in findings:
        state = Text(finding.state, _COLORS[finding.state])
        # As text: rich would read brackets in a path or a reason as markup.
        table.add_row(finding.asset.name, state, finding.asset.enables, Text(finding.detail))
    console.print(table)
    missing = sum(finding.state != "found" for finding in findings)
    console.print(f"{len(findings) - missing} of {len(findings)} found under {folder}.")
