"""Command `use_params`."""

from pathlib import Path
from typing import Annotated

from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.representer import RoundTripRepresenter
from typer import Argument, Option

from spinloop.errors import UserError

_WIDTH = 4096


class _Representer(RoundTripRepresenter):
    """Writes `null` where the file says so, and not nothing."""

    def represent_none(self, data: None) -> ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:null", "null")


_Representer.add_representer(type(None), _Representer.represent_none)


def run(
    preset: Annotated[Path, Argument(help="Any part of a parameter file. A list replaces a whole list.")],
    *,
    params: Annotated[Path, Option(help="File to change.")] = Path("params.yaml"),
) -> None:
    """Replace values in params.yaml by those of another file, e.g. params/paper.yaml.

    Other values and comments stay. If a stage would refuse the result, nothing is changed.
    """
    from ruamel.yaml import YAML

    from spinloop.files import atomic
    from spinloop.params.loader import load_yaml, overlay, read_preset
    from spinloop.pipeline.configuration import check_values
    from spinloop.progress import say

    wanted = read_preset(preset, params.parent)
    load_yaml(params)
    yaml = YAML()
    yaml.width, yaml.preserve_quotes = _WIDTH, True
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.Representer = _Representer
    values = yaml.load(params.read_text(encoding="utf-8"))
    n_changed = overlay(values, wanted, preset)
    with atomic(params) as temporary:
        with temporary.open("w", encoding="utf-8") as stream:
            yaml.dump(values, stream)
        try:
            check_values(load_yaml(temporary), params)
        except UserError as error:
            raise UserError(f"{preset}: {params} is not changed; the result is wrong: {error}") from None
    say(f"use_params: {n_changed} values of {params} changed")
