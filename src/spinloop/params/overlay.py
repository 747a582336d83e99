"""Values laid over those of a parameter file."""

from collections import Counter
from collections.abc import Iterator, Mapping, MutableMapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from ruamel.yaml.comments import CommentedMap

from spinloop.errors import UserError
from spinloop.params.loader import load_yaml

# Sections whose keys are names that a user chooses.
_OPEN = ("raw", "sources", "settings", "needs")


def read_preset(path: Path, project: Path) -> dict[str, Any]:
    """Parse a file of wanted values.

    Args:
        path: any part of a parameter file.
        project: the folder whose `params` holds the presets that come with the project.

    Raises:
        UserError: there is no such file (the presets are listed), or it is no YAML mapping.
    """
    if not path.is_file():
        presets = ", ".join(str(preset) for preset in sorted((project / "params").glob("*.yaml")))
        raise UserError(
            f"{path}: no such file; {f'the presets are {presets}' if presets else 'check the path'}"
        )
    return load_yaml(path)


def lay_over(values: MutableMapping[str, Any], wanted: Mapping[str, Any], source: Path) -> int:
    """Replace values by wanted ones, in place; sections go into each other.

    A list replaces a whole list, and `{}` a whole section.

    A section that stands in several places (a YAML alias) changes only where it is named.

    Args:
        values: of a whole parameter file.
        wanted: any part of one.
        source: where the wanted values come from, for the message.

    Returns:
        How many values changed.

    Raises:
        UserError: a wanted key is not among the values.
    """
    counts = Counter(id(section) for section in _sections(values))
    shared = {key for key, count in counts.items() if count > 1}
    return _lay(values, wanted, (), source, shared)


def _lay(
    values: MutableMapping[str, Any],
    wanted: Mapping[str, Any],
    at: tuple[str, ...],
    source: Path,
    shared: set[int],
) -> int:
    n_changed = 0
    for key, value in wanted.items():
        where = ".".join([*at, key])
        if key not in values and not (at and at[0] in _OPEN):
            raise UserError(f"{source}: {where}: params.yaml has no such key; correct its spelling")
        old = values.get(key)
        if isinstance(value, Mapping) and value and isinstance(old, MutableMapping):
            if id(old) in shared:
                old = values[key] = _separate(old)
            n_changed += _lay(old, value, (*at, key), source, shared)
        elif key not in values or old != value:
            values[key] = value
            n_changed += 1
    return n_changed


def _sections(values: MutableMapping[str, Any]) -> Iterator[MutableMapping[str, Any]]:
    """All sections below, each as often as it is named."""
    for value in values.values():
        if isinstance(value, MutableMapping):
            yield value
            yield from _sections(value)


def _separate(section: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A section of its own, with the same values and comments, to which no alias refers."""
    own = deepcopy(section)
    for part in (own, *_sections(own)):
        if isinstance(part, CommentedMap):
            part.yaml_set_anchor(None)
    return own
