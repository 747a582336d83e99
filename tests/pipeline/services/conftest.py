"""Services on the loopback, each of its own keys, settings and ports, gone when the tests end."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

PATIENCE_S = 60


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def need(*programs: str) -> None:
    missing = [
        name for name in programs if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None
    ]
    if missing:
        pytest.fail(f"{', '.join(missing)}: not installed; run `make test-services`")


def wait_until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def service(port: int, folder: Path, *command: str) -> Iterator[None]:
    """A program that runs until the block ends and answers at a port of the loopback."""
    log = folder / "service.log"
    with log.open("w") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, start_new_session=True)
        try:
            wait_until(lambda: answers(port), f"{command[0]} does not answer: {log.read_text()}")
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()


@pytest.fixture(scope="session")
def services() -> SimpleNamespace:
    """The functions above, for test modules, which cannot import them."""
    return SimpleNamespace(free_port=free_port, need=need, service=service, wait_until=wait_until)
