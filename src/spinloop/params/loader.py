"""Reading sections of `params.yaml` into strict, frozen models."""

import copy
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML, YAMLError

from spinloop.errors import UserError


class Section(BaseModel):
    """A section of `params.yaml`: unknown, missing and mistyped keys are errors; nothing changes it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


S = TypeVar("S", bound=BaseModel)


def load_yaml(path: Path) -> dict[str, Any]:
    """Parse a YAML 1.2 mapping, as DVC does (`5e-5` is a number).

    Raises:
        UserError: the file is absent, is not YAML, or is not a mapping.
    """
    try:
        # Stages read many sections of one file, and parsing it takes as long as the rest of their start.
        value = copy.deepcopy(_parse(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run from the project's folder or give --params") from None
    except YAMLError as error:
        where = str(error).splitlines()[-1].strip()
        raise UserError(f"{path}: not valid YAML ({where}); mend the line") from None
    if not isinstance(value, dict):
        raise UserError(f"{path}: expected sections (a mapping), found {type(value).__name__}")
    return value


@functools.cache
def _parse(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


def require_choice(path: Path, key: str, name: str, option: str) -> None:
    """See that a word of the command line is a key of a section.

    Args:
        path: the parameter file.
        key: the section, whose keys are names that a user chooses.
        name: one of them.
        option: where it was given, for the message.

    Raises:
        UserError: the section has no such key; those that it has are listed.
    """
    known = load_yaml(path).get(key)
    if isinstance(known, Mapping) and name not in known:
        choices = ", ".join(map(str, known))
        raise UserError(f"{option} {name}: not in {path}: {key}; give one of {choices}")


def load_section(path: Path, key: str, model: type[S]) -> S:
    """Read one section.

    Args:
        path: the parameter file.
        key: the section, dots for a nested one (`settings.loop`).
        model: what the section must look like.

    Raises:
        UserError: the section is absent, or a key in it is unknown, missing or of the wrong type; every
            fault is named with its full key.
    """
    value: Any = load_yaml(path)
    for part in key.split("."):
        if not isinstance(value, Mapping) or part not in value:
            raise UserError(f"{path}: {key}: section missing; copy it from the project's params.yaml")
        value = value[part]
    try:
        return model.model_validate(value)
    except ValidationError as error:
        faults = "; ".join(_describe(key, fault) for fault in error.errors())
        raise UserError(f"{path}: {faults}") from None


def _describe(key: str, fault: Any) -> str:
    where = ".".join([key, *(str(part) for part in fault["loc"])])
    if fault["type"] == "extra_forbidden":
        return f"{where}: unknown key; remove it or correct its spelling"
    if fault["type"] == "missing":
        return f"{where}: missing; add it"
    message = fault["msg"][0].lower() + fault["msg"][1:]
    return f"{where}: {message}, got {fault['input']!r}"
