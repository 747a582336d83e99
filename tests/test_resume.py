"""What an unfinished run may go on from: values that differ, damage, another process."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from spinloop.errors import UserError
from spinloop.resume import Checkpoint, MadeFrom, State, named_values

PAST = {"train.seed": 0, "train.n_steps": 100, "train.augmentation.scale": 0.25}
MADE_FROM = MadeFrom(
    past=PAST,
    rounding={"train.device": "cpu"},
    lengths=["train.n_steps"],
    reasons={"train.seed": "it orders the samples"},
    code="0123456789abcdef",
)


def changed(code: str = MADE_FROM.code, device: str = "cpu", **past: Any) -> MadeFrom:
    """What the state is made from, with other values (`n_steps` for `train.n_steps`)."""
    others = {f"train.{name}": value for name, value in past.items()}
    return MadeFrom({**PAST, **others}, {"train.device": device}, MADE_FROM.lengths, MADE_FROM.reasons, code)


@pytest.fixture
def folder(tmp_path) -> Path:
    """The state of a run that was stopped after 60 steps."""
    stopped = Checkpoint(tmp_path / "run", MADE_FROM, "train")
    with stopped.in_use():
        stopped.save({"step": 60, "weights": torch.arange(4.0)})
    return stopped.folder


def restored(folder: Path, made_from: MadeFrom) -> Any:
    """The content that a run made from these values goes on from; None if it starts anew."""
    run = Checkpoint(folder, made_from, "train")
    with run.in_use():
        return run.restore(lambda content: content)


def siblings(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.parent.iterdir())


def test_a_state_comes_back_as_it_was_saved(folder):
    content = restored(folder, MADE_FROM)
    assert content["step"] == 60
    assert torch.equal(content["weights"], torch.arange(4.0))
    assert siblings(folder) == ["run"]


def test_more_steps_and_other_rounding_go_on(folder, capfd):
    assert restored(folder, changed(n_steps=200))["step"] == 60
    assert restored(folder, changed(n_steps=200, device="cuda"))["step"] == 60
    assert "other rounding: train.device: cpu → cuda" in "".join(capfd.readouterr())


def test_other_values_are_named_and_the_state_is_moved_aside(folder, capfd):
    with pytest.raises(UserError) as caught:
        restored(folder, changed(seed=1, learning_rate=0.001))
    message = str(caught.value)
    assert "train.seed: 0 → 1 (it orders the samples); train.learning_rate: nothing → 0.001;" in message
    assert "augmentation" not in message
    assert siblings(folder) == ["run.old-1"]
    assert restored(folder, changed(seed=1)) is None
    told = f"starts anew; states that were moved aside are still there: rm -r {folder}.old-1"
    assert told in "".join(capfd.readouterr())
    with pytest.raises(UserError, match=r"now .*run\.old-2"):
        restored(folder, MADE_FROM)
    # What the message says to do is what helps.
    back = re.search(r"set them back and (mv \S+ \S+);", message)
    drop = re.search(r"to drop it: (rm -r \S+);", message)
    assert back is not None
    assert drop is not None
    subprocess.run(back[1], shell=True, check=True)
    assert restored(folder, MADE_FROM)["step"] == 60
    folder.rename(folder.with_name("run.old-1"))
    subprocess.run(drop[1], shell=True, check=True)
    assert siblings(folder) == ["run.old-2"]


def test_other_code_is_refused_until_the_user_accepts_it(folder):
    with pytest.raises(UserError, match=r"code of the command: 01234567 → fedcba98; .*run\.old-1") as caught:
        restored(folder, changed(code="fedcba9876543210"))
    accept = re.search(r"by the new code: (rm \S+ && mv \S+ \S+);", str(caught.value))
    assert accept is not None
    subprocess.run(accept[1], shell=True, check=True)
    for _ in range(2):
        assert restored(folder, changed(code="fedcba9876543210"))["step"] == 60


def test_a_finished_run_goes_on_with_more_steps_or_is_kept_aside(folder):
    State(folder, MADE_FROM, "train").finish(keep=True)
    assert restored(folder, changed(n_steps=101))["step"] == 60
    State(folder, changed(n_steps=101), "train").finish(keep=True)
    assert restored(folder, changed(n_steps=50)) is None
    assert siblings(folder) == ["run", "run.old-1"]


def test_the_same_finished_run_ends_where_it_ended(folder, capfd):
    State(folder, MADE_FROM, "train").finish(keep=True)
    assert restored(folder, MADE_FROM)["step"] == 60
    assert f"goes on from the finished run; to start anew: rm -r {folder}" in "".join(capfd.readouterr())
    State(folder, MADE_FROM, "train").finish(keep=False)
    assert siblings(folder) == []


@pytest.mark.parametrize(
    "content",
    [[1, 2], None, torch.zeros(3), {}, {"step": "2"}, {"step": -1}, {"step": True, 3: 4}, "cut", "empty"],
    ids=str,
)
def test_a_damaged_state_is_told_and_moved_aside(folder, content):
    path = folder / "checkpoint.pt"
    if content in ("cut", "empty"):
        path.write_bytes(path.read_bytes()[: 100 if content == "cut" else 0])
    else:
        torch.save(content, path)
    run = Checkpoint(folder, MADE_FROM, "train")
    with (
        pytest.raises(UserError, match=r"checkpoint\.pt: damaged \(.+\); its folder is now") as caught,
        run.in_use(),
    ):
        run.restore(lambda content: content["weights"])
    assert "\n" not in str(caught.value)
    assert siblings(folder) == ["run.damaged-1"]
    assert restored(folder, MADE_FROM) is None


@pytest.mark.parametrize("text", ["", "[]", "{", '{"past": 3, "rounding": {}}', "[" * 100_000, "\udcff"])
def test_damaged_notes_of_the_values_are_told_and_moved_aside(folder, text):
    (folder / "values.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError, match=r"values\.json: damaged"):
        restored(folder, MADE_FROM)
    assert siblings(folder) == ["run.damaged-1"]


def test_a_state_without_notes_is_moved_aside(folder):
    """As versions before this one left it."""
    (folder / "values.json").unlink()
    with pytest.raises(UserError, match=r"values\.json: damaged \(missing, so what .*run\.damaged-1"):
        restored(folder, MADE_FROM)


USER = """
import sys
from pathlib import Path
from spinloop.resume import MadeFrom, State
with State(Path(sys.argv[1]), MadeFrom({}), "fit").in_use():
    print("in use", flush=True)
    input()
"""


def test_two_commands_do_not_share_a_state(tmp_path):
    folder = tmp_path / "run"
    command = [sys.executable, "-c", USER, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with (
            pytest.raises(UserError, match=rf"run: process {process.pid} on \S+ writes it"),
            State(folder, MadeFrom({}), "fit").in_use(),
        ):
            raise AssertionError("both use it")
        process.communicate(b"\n")
    with State(folder, MadeFrom({}), "fit").in_use():
        pass


def test_values_are_named_with_dots():
    section = {"seed": 0, "mixture": [{"splits": ["a"]}, {"splits": []}], "clip": (1, 2), "empty": {}}
    assert named_values("train", section, leave_out=["train.seed"]) == {
        "train.mixture.0.splits": ["a"],
        "train.mixture.1.splits": [],
        "train.clip": [1, 2],
        "train.empty": {},
    }
