"""Push to real remotes, over SSH and to an S3 server; a fresh clone pulls and has nothing to do."""

import os
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

pytestmark = pytest.mark.slow

NOTHING_TO_DO = "Nothing to be done"
SSHD_CONFIG = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/user_key.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
Subsystem sftp internal-sftp
"""


class Remote(NamedTuple):
    """What stands in the configuration: in git, and beside it what is private."""

    url: str
    shared: dict[str, str]
    private: dict[str, str]


@pytest.fixture(scope="module")
def ssh(tmp_path_factory, services, run) -> Iterator[Remote]:
    """An sshd of Debian with its own keys, for the user who runs the tests."""
    services.need("sshd", "ssh-keygen")
    folder, port = tmp_path_factory.mktemp("ssh"), services.free_port()
    for name in ("host_key", "user_key"):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", name, cwd=folder)
    (folder / "config").write_text(SSHD_CONFIG.format(port=port, folder=folder))
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    with services.service(port, folder, "/usr/sbin/sshd", "-D", "-e", "-f", str(folder / "config")):
        user = os.environ.get("USER") or "root"
        url = f"ssh://{user}@127.0.0.1:{port}{folder}/store"
        yield Remote(url, {}, {"keyfile": str(folder / "user_key")})


@pytest.fixture(scope="module")
def s3(tmp_path_factory, services) -> Iterator[Remote]:
    """moto's server, which speaks S3's protocol, with one bucket."""
    folder, port = tmp_path_factory.mktemp("s3"), services.free_port()
    endpoint = f"http://127.0.0.1:{port}"
    program = str(Path(sys.executable).with_name("moto_server"))
    with services.service(port, folder, program, "--host", "127.0.0.1", "--port", str(port)):
        urllib.request.urlopen(urllib.request.Request(f"{endpoint}/lab", method="PUT")).close()
        keys = {"access_key_id": "someone", "secret_access_key": "something"}
        yield Remote("s3://lab/spinloop", {"endpointurl": endpoint, "region": "us-east-1"}, keys)


@pytest.mark.parametrize("kind", ["ssh", "s3"])
def test_a_fresh_clone_pulls_and_has_nothing_to_do(kind, request, versioned, commit_all, tmp_path, run):
    remote: Remote = request.getfixturevalue(kind)
    run("dvc", "remote", "add", "--default", "lab", remote.url, cwd=versioned)
    for key, value in remote.shared.items():
        run("dvc", "remote", "modify", "lab", key, value, cwd=versioned)
    commit_all(versioned)
    tell_secrets(run, versioned, remote)
    assert "pushed" in run("dvc", "push", cwd=versioned).stdout
    assert "Everything is up to date" in run("dvc", "push", cwd=versioned).stdout

    clone = tmp_path / "clone"
    run("git", "clone", "--quiet", str(versioned), str(clone), cwd=tmp_path)
    assert not (clone / "a.txt").exists()
    tell_secrets(run, clone, remote)
    run("dvc", "pull", cwd=clone)
    assert NOTHING_TO_DO in run("snakemake", cwd=clone).stdout
    assert "Data and pipelines are up to date" in run("dvc", "repro", cwd=clone).stdout
    assert not (clone / "ran.log").exists()
    for name in ("raw/part.txt", "second.txt", "a.txt", "b.txt", "last.json"):
        assert (clone / name).read_bytes() == (versioned / name).read_bytes()


def tell_secrets(run, root: Path, remote: Remote) -> None:
    for key, value in remote.private.items():
        run("dvc", "remote", "modify", "--local", "lab", key, value, cwd=root)
