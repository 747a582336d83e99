"""Lay the values of another parameter file over params.yaml: a preset such as params/paper.yaml."""

from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.representer import RoundTripRepresenter

from spinloop.errors import UserError
from spinloop.files import atomic
from spinloop.params.loader import lay_over, load_yaml, read_preset
from spinloop.pipeline.configuration import check_values
from spinloop.progress import say

SECTIONS: dict[str, type] = {}
_WIDTH = 4096


class _Representer(RoundTripRepresenter):
    """Writes `null` where the file says so, and not nothing."""

    def represent_none(self, data: None) -> ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:null", "null")


_Representer.add_representer(type(None), _Representer.represent_none)


def run(preset: Path, *, params: Path = Path("params.yaml")) -> None:
    """Replace in params.yaml what the preset names; its other values and its comments stay.

    A preset that would leave a params.yaml that some stage refuses changes nothing.

    Args:
        preset: any part of a parameter file. A list replaces a whole list.
        params: the file to change; git knows what stood there before.
    """
    wanted = read_preset(preset, params.parent)
    load_yaml(params)
    yaml = YAML()
    yaml.width, yaml.preserve_quotes = _WIDTH, True
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.Representer = _Representer
    values = yaml.load(params.read_text(encoding="utf-8"))
    n_changed = lay_over(values, wanted, preset)
    with atomic(params) as temporary:
        with temporary.open("w", encoding="utf-8") as stream:
            yaml.dump(values, stream)
        try:
            check_values(load_yaml(temporary), params)
        except UserError as error:
            raise UserError(f"{preset}: not laid over {params}, which would be wrong: {error}") from None
    say(f"use_params: {n_changed} values of {params} changed")
