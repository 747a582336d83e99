"""Values laid over those of a parameter file."""

from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any

from spinloop.errors import UserError

# Sections whose keys are names that a user chooses.
_OPEN = ("sources", "settings", "needs")


def lay_over(values: MutableMapping[str, Any], wanted: Mapping[str, Any], source: Path) -> int:
    """Replace values by wanted ones, in place; sections go into each other, a list replaces a whole list.

    Args:
        values: of a whole parameter file.
        wanted: any part of one.
        source: where the wanted values come from, for the message.

    Returns:
        How many values changed.

    Raises:
        UserError: a wanted key is not among the values.
    """
    return _lay(values, wanted, (), source)


def _lay(
    values: MutableMapping[str, Any], wanted: Mapping[str, Any], at: tuple[str, ...], source: Path
) -> int:
    n_changed = 0
    for key, value in wanted.items():
        where = ".".join([*at, key])
        if key not in values and not (at and at[0] in _OPEN):
            raise UserError(f"{source}: {where}: params.yaml has no such key; correct its spelling")
        old = values.get(key)
        if isinstance(value, Mapping) and isinstance(old, MutableMapping):
            n_changed += _lay(old, value, (*at, key), source)
        elif key not in values or old != value:
            values[key] = value
            n_changed += 1
    return n_changed
