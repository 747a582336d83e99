"""The state of an unfinished run: what it was made from, and whether a run may go on from it.

A state is a folder outside the outputs, since DVC and Snakemake delete outputs before they start a stage. Its
file `values.json` says what it was made from. Values are of three kinds:

* with another value of the *past* the state would be another one (learning rate, contents of the inputs): the
  run is refused, and the state is moved aside;
* another value of *rounding* changes the last bits (device, precision, threads): the run goes on and says so;
* all others (how often a checkpoint is written, what is drawn meanwhile) are not noted: the run goes on.

The digest of the command's code is in a file of its own. Only the user knows whether new code corrects what
was done or only what comes; so other code is refused too, and the run goes on once that file is removed. No
state is deleted but that of a run that has written its outputs.
"""

import json
import shlex
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from glob import escape
from pathlib import Path
from typing import Any, TypeVar

from spinloop.errors import UserError, reason_of
from spinloop.files import atomic, output, read_json, read_weights, write_json
from spinloop.locks import hold_outputs
from spinloop.progress import say

T = TypeVar("T")
_VALUES, _CODE, _CHECKPOINT = "values.json", "code", "checkpoint.pt"
_CODE_DIGITS = 8
_DAMAGED = "it is damaged"
# What an object raises that is given the content of a damaged or foreign checkpoint.
_MISFITS = (AttributeError, LookupError, RuntimeError, TypeError, ValueError, UserError)


@dataclass(frozen=True)
class MadeFrom:
    """What a state is made from; names of values are dotted (`train.seed`)."""

    past: Mapping[str, Any]
    """Plain values, without which the state would be another one."""
    rounding: Mapping[str, Any] = field(default_factory=dict)
    """Plain values on which the last bits depend."""
    lengths: Collection[str] = ()
    """Names in `past` of numbers of steps on which no step depends: more of them continue the same run."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """Why a value is one of the past, where a user may not expect it."""
    code: str = ""
    """Digest of the command's code; empty if it is not known."""


def named_values(key: str, value: Any, leave_out: Collection[str] = ()) -> dict[str, Any]:
    """The values of a section by dotted names; those in lists of sections with their number.

    Args:
        key: name of the section.
        value: of the section, as plain values.
        leave_out: names to leave out, with all below them.
    """
    if key in leave_out:
        return {}
    if isinstance(value, Mapping) and value:
        parts = list(value.items())
    elif isinstance(value, Sequence) and value and all(isinstance(part, Mapping) for part in value):
        parts = list(enumerate(value))
    else:
        return {key: json.loads(json.dumps(value))}  # as it comes back from the state
    return {
        name: found
        for part, below in parts
        for name, found in named_values(f"{key}.{part}", below, leave_out).items()
    }


class State:
    """The state of one run.

    Args:
        folder: made when first needed.
        made_from: what this run makes it from.
        name: of the run, for messages.
    """

    def __init__(self, folder: Path, made_from: MadeFrom, name: str) -> None:
        self.folder, self._made_from, self._name = folder, made_from, name

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Check what an earlier run left, and keep other processes from the state meanwhile.

        Raises:
            UserError: the state was made from other values or by other code, or is damaged (then it is moved
                aside), or another process uses it.
        """
        with hold_outputs([self.folder]):
            if self._is_begun():
                self._compare(self._noted())
            elif aside := sorted(self.folder.parent.glob(f"{escape(self.folder.name)}.[od]*-[0-9]*")):
                drop = shlex.join(["rm", "-r", *map(str, aside)])
                say(f"{self._name}: starts anew; states that were moved aside are still there: {drop}")
            self._note(is_finished=False)
            yield

    def finish(self, *, keep: bool) -> None:
        """The outputs are written.

        Args:
            keep: keep the state, so that a longer run can continue it; or delete it.
        """
        if keep:
            self._note(is_finished=True)
        else:
            self._delete()

    def set_aside(self, word: str) -> Path:
        """Move the state aside; returns where it is now (`<folder>.<word>-<number>`)."""
        aside = self._free_name(word)
        self.folder.rename(aside)
        return aside

    def set_part_aside(self, part: Path) -> Path:
        """Move one damaged file of the state aside; returns where it is now."""
        aside = self._free_name("damaged") / part.name
        aside.parent.mkdir()
        part.rename(aside)
        return aside

    def _is_begun(self) -> bool:
        return self.folder.is_dir() and any(not path.name.startswith(".") for path in self.folder.iterdir())

    def _noted(self) -> dict[str, Any]:
        path = self.folder / _VALUES
        if not path.is_file():
            raise self._damage(path, "missing, so what the state was made from is not known")
        try:
            noted = read_json(path)
            if not isinstance(noted, dict) or not all(
                isinstance(noted.get(kind), dict) for kind in ("past", "rounding")
            ):
                raise UserError(f"{path}: not what a run notes of its values")
        except (UserError, RecursionError) as error:
            raise self._damage(path, reason_of(error).removeprefix(f"{path}: ")) from None
        return noted

    def _compare(self, noted: Mapping[str, Any]) -> None:
        made_from = self._made_from
        changes = _changes(noted["past"], made_from.past)
        refused = {name: text for name, text in changes.items() if name not in made_from.lengths}
        other_code = self._other_code()
        is_shorter = any(
            not _is_at_least(made_from.past[name], noted["past"].get(name)) for name in made_from.lengths
        )
        if noted.get("is_finished") and (refused or other_code or is_shorter):
            aside = self.set_aside("old")
            say(f"{self._name}: the state of the finished run before is now {aside}; drop it: {_rm(aside)}")
            return
        if refused or other_code:
            reasons = {name: f" ({reason})" for name, reason in made_from.reasons.items()}
            raise self.refusal([text + reasons.get(name, "") for name, text in refused.items()], other_code)
        if noted.get("is_finished"):
            say(f"{self._name}: goes on from the finished run; to start anew: {_rm(self.folder)}")
        if rounding := _changes(noted["rounding"], made_from.rounding):
            listed = "; ".join(rounding.values())
            say(f"{self._name}: goes on from {self.folder} with other rounding: {listed}")

    def refusal(self, found: Collection[str], other_code: str = "") -> UserError:
        """Move the state aside; returns the error that says why, and how to go on from it or drop it.

        Args:
            found: what differs.
            other_code: what to say of other code, if that differs too.
        """
        aside = self.set_aside("old")
        back = f"mv {shlex.quote(str(aside))} {shlex.quote(str(self.folder))}"
        fixes = [f"to go on from it, set them back and {back}"] if found else []
        if other_code:
            code = shlex.quote(str(aside / _CODE))
            fixes.append(f"to go on from it by the new code: rm {code} && {back}")
        listed = "; ".join([*found, *([other_code] if other_code else [])])
        return UserError(
            f"{self.folder}: an unfinished run was made from other values: {listed}; its state is now "
            f"{aside}; "
            + "; ".join([*fixes, f"to drop it: {_rm(aside)}", "the same command now starts anew"])
        )

    def _other_code(self) -> str:
        """What to say of other code; empty if it is the same, not known, or accepted."""
        path, new = self.folder / _CODE, self._made_from.code
        old = path.read_text(encoding="utf-8", errors="replace").strip() if path.is_file() else ""
        if not old or not new or old == new:
            return ""
        return f"code of the command: {old[:_CODE_DIGITS]} → {new[:_CODE_DIGITS]}"

    def _note(self, *, is_finished: bool) -> None:
        made_from = self._made_from
        values = {"past": dict(made_from.past), "rounding": dict(made_from.rounding)}
        write_json(self.folder / _VALUES, {**values, "is_finished": is_finished})
        if made_from.code:
            with atomic(self.folder / _CODE) as temporary:
                temporary.write_text(f"{made_from.code}\n", encoding="utf-8")

    def _damage(self, path: Path, reason: str) -> UserError:
        aside = self.set_aside("damaged")
        return UserError(
            f"{path}: damaged ({reason}); its folder is now {aside}; to drop it: {_rm(aside)}; the same "
            "command now starts anew"
        )

    def _delete(self) -> None:
        """Delete the folder; a kill meanwhile leaves no half of it under its name."""
        gone = self.folder.with_name(f".{self.folder.name}.deleted")
        shutil.rmtree(gone, ignore_errors=True)
        self.folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)

    def _free_name(self, word: str) -> Path:
        number = 1
        while (path := self.folder.with_name(f"{self.folder.name}.{word}-{number}")).exists():
            number += 1
        return path


class Checkpoint(State):
    """A state of tensors and plain values in one file."""

    def save(self, content: Mapping[str, Any]) -> None:
        """Replace the saved content, atomically.

        Args:
            content: tensors and plain Python values; `step` is the number of steps done.
        """
        import torch

        with output(self.folder / _CHECKPOINT) as stream:
            torch.save(dict(content), stream)

    def restore(self, load: Callable[[dict[str, Any]], T]) -> T | None:
        """What `load` makes of the saved content; None if nothing is saved.

        Args:
            load: given the content; any of its errors that foreign content explains counts as damage.

        Raises:
            UserError: the file is damaged; the state is moved aside.
        """
        import torch

        path = self.folder / _CHECKPOINT
        if not path.is_file():
            return None
        try:
            content = read_weights(path, _DAMAGED)
            if not isinstance(content, dict):
                raise ValueError(f"expected a mapping, found {type(content).__name__}")
            if not isinstance(step := content.get("step"), int) or step < 0:
                raise ValueError(f"step: expected the number of steps done, found {step!r:.50}")
            return load(content)
        except torch.OutOfMemoryError:
            raise
        except _MISFITS as error:
            reason = reason_of(error).removeprefix(f"{path}: ").removesuffix(f"; {_DAMAGED}")
            raise self._damage(path, reason) from None


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, str]:
    """Names of the values that differ → `name: old → new`."""
    nothing = object()
    names = [*new, *(name for name in old if name not in new)]
    pairs = {name: (old.get(name, nothing), new.get(name, nothing)) for name in names}
    return {
        name: f"{name}: {' → '.join('nothing' if value is nothing else _shown(value) for value in pair)}"
        for name, pair in pairs.items()
        if pair[0] != pair[1]
    }


def _shown(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _is_at_least(new: Any, old: Any) -> bool:
    return isinstance(old, int) and new >= old


def _rm(folder: Path) -> str:
    return f"rm -r {shlex.quote(str(folder))}"
