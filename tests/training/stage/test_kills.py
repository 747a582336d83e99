"""kill -9 at random times, in and between steps and while a checkpoint is written: not a bit is lost."""

import multiprocessing
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from spinloop.stages import train as stage

PARTIAL = "state/train/loop/.checkpoint.*.partial.pt"


def _train(arguments: dict[str, Any]) -> None:
    torch.set_num_threads(1)
    stage.run(setting="loop", **arguments)


def _train_until_a_checkpoint_is_half_written(arguments: dict[str, Any], number: int) -> None:
    """Dies after half of a checkpoint's bytes."""
    save, count = torch.save, [0]

    def save_half(content: object, stream: Any) -> None:
        count[0] += 1
        save(content, stream)
        if count[0] == number:
            stream.truncate(stream.tell() // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    torch.save = save_half
    _train(arguments)


def _started(target: Any, *arguments: Any) -> multiprocessing.process.BaseProcess:
    process = multiprocessing.get_context("fork").Process(target=target, args=arguments)
    process.start()
    return process


def _bytes(folder: Path) -> dict[str, bytes]:
    made = [path for path in folder.rglob("*") if path.is_file() and "state" not in path.parts]
    return {str(path.relative_to(folder)): path.read_bytes() for path in made}


def _kill_after(checkpoints: int, seconds: float, process: Any, path: Path) -> None:
    """SIGKILL some time after the process has written some checkpoints."""
    for _ in range(checkpoints):
        before = path.stat().st_ino if path.exists() else None
        while not path.exists() or path.stat().st_ino == before:
            assert process.is_alive(), "it ended before it was killed: nothing was tested"
            time.sleep(0.002)
    time.sleep(seconds)
    process.kill()


@pytest.mark.parametrize("n_kills", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_again_and_again_it_leaves_the_bytes_of_an_undisturbed_run(
    n_kills, world, outputs, changed, tmp_path
):
    n_steps = 4 * n_kills + 4
    arguments = changed(world, tmp_path / "params.yaml", n_steps=n_steps, checkpoint_every=1)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    undisturbed = _started(_train, {**arguments, **outputs(whole)})
    began = time.monotonic()
    undisturbed.join()
    step_s = (time.monotonic() - began) / n_steps
    assert undisturbed.exitcode == 0
    rng, there, steps = random.Random(0), {**arguments, **outputs(killed)}, []
    checkpoint = killed / "state/train/loop/checkpoint.pt"
    n_half_written = 0
    while len(steps) < n_kills:
        if len(steps) % 3 == 1:
            process = _started(_train_until_a_checkpoint_is_half_written, there, rng.randrange(1, 3))
        else:
            process = _started(_train, there)
            _kill_after(rng.choice([0, 1, 2]), rng.uniform(0, step_s), process, checkpoint)
        process.join()
        assert process.exitcode == -signal.SIGKILL, "it ended before it was killed: nothing was tested"
        n_half_written += len(list(killed.glob(PARTIAL))) == 1
        assert _bytes(killed) == {}, "nothing half-made stands under a final name"
        steps.append(torch.load(checkpoint)["step"] if checkpoint.exists() else 0)
    assert steps == sorted(steps), "a kill threw the run back"
    assert 0 < steps[-1] < n_steps
    assert n_half_written > 0
    last = _started(_train, there)
    last.join()
    assert last.exitcode == 0
    assert _bytes(killed).keys() == _bytes(whole).keys()
    for name, content in _bytes(whole).items():
        assert _bytes(killed)[name] == content, name
    assert list(killed.glob(PARTIAL)) == []
