"""The Slurm profile on a real Slurm: one node on the loopback, its daemons in namespaces of their own."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

CONFIG = """
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthInfo=socket={folder}/munge/socket
SlurmctldPort={controller}
SlurmdPort={node}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
MpiDefault=none
ReturnToService=2
KillWait=1
OverTimeLimit=0
SchedulerParameters=sched_interval=1
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory=4000 Gres=gpu:1
PartitionName=all Nodes={host} Default=YES MaxTime=60 State=UP
"""

# Everything that is started dies with the first process; only it and its children see this /etc/slurm.
START = """
set -e
mount --bind {folder}/etc /etc/slurm
munged --force --key-file={folder}/munge/key --socket={folder}/munge/socket --seed-file={folder}/munge/seed \
  --pid-file={folder}/munge/pid --log-file={folder}/munge/log
slurmctld
slurmd
touch {folder}/started
exec sleep infinity
"""

# The jobs of the small project, as a cluster sees them: `meta` of each stage.
META = {"each": "{threads: 1, mem_mb: 150, runtime: 2, gpu: 1}"}

# Writes one line a second and says so outside its output; killed, it goes on where it was.
PATIENT = """
import pathlib, time
state = pathlib.Path(".state/steps")
state.parent.mkdir(exist_ok=True)
done = int(state.read_text()) if state.exists() else 0
with open("ran.log", "a") as log:
    log.write(f"started-at-{done}\\n")
for step in range(done, 90):
    time.sleep(1)
    state.with_suffix(".new").write_text(str(step + 1))
    state.with_suffix(".new").replace(state)
pathlib.Path("trained.txt").write_text("90 steps\\n")
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, services) -> Iterator[list[str]]:
    """The words that run a command where the cluster is; root only, since daemons and mounts need it."""
    services.need("slurmctld", "slurmd", "munged", "unshare", "nsenter")
    folder = tmp_path_factory.mktemp("slurm")
    for name in ("munge", "state", "spool", "etc"):
        (folder / name).mkdir(mode=0o700)
    (folder / "munge/key").write_bytes(os.urandom(1024))
    (folder / "munge/key").chmod(0o400)
    host = os.uname().nodename.split(".")[0]
    ports = {"controller": services.free_port(), "node": services.free_port()}
    text = CONFIG.format(folder=folder, host=host, cores=os.cpu_count(), **ports)
    (folder / "etc/slurm.conf").write_text(text)
    (folder / "etc/gres.conf").write_text(f"NodeName={host} Name=gpu File=/dev/null\n")
    Path("/etc/slurm").mkdir(exist_ok=True)
    words = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-c"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([*words, START.format(folder=folder)], stdout=log, stderr=log)
        try:
            services.wait_until((folder / "started").exists, "Slurm's daemons did not start")
            child = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0]
            yield ["nsenter", "--target", child, "--mount", "--pid"]
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()


@pytest.fixture(scope="module")
def on_cluster(cluster, services, run) -> Callable[..., subprocess.CompletedProcess[str]]:
    def call(*words: str, cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        return run(*cluster, f"--wdns={cwd}", "--", *words, cwd=cwd, check=check)

    services.wait_until(lambda: "idle" in call("sinfo", cwd=Path("/"), check=False).stdout, "no idle node")
    return call


def profile(*words: str) -> list[str]:
    """Snakemake with the profile; this Slurm has no accounting, and a test does not wait for shared disks."""
    quick = [
        "--slurm-status-command=squeue",
        "--slurm-init-seconds-before-status-checks=3",
        "--latency-wait=5",
    ]
    return ["snakemake", "--workflow-profile", "workflow/profiles/slurm", *quick, *words]


def job_field(text: str, name: str) -> str:
    return next(word.split("=", 1)[1] for word in text.split() if word.startswith(f"{name}="))


def test_the_profile_runs_the_pipeline_with_what_meta_asks_for(small_project, on_cluster, run):
    path = small_project / "dvc.yaml"
    path.write_text(path.read_text().replace("{threads: 1, mem_mb: 100, runtime: 1}", META["each"]))
    done = on_cluster(*profile("--slurm-no-account"), cwd=small_project)
    assert sorted((small_project / "ran.log").read_text().split()) == sorted(
        ["first", "second", "each@a", "each@b", "last"]
    )
    assert done.stdout.count("has been submitted with SLURM jobid") == 5
    assert "Data and pipelines are up to date." in run("dvc", "status", cwd=small_project).stdout
    jobs = on_cluster("scontrol", "show", "job", cwd=small_project).stdout.split("\n\n")
    asked = {
        (job_field(job, "TimeLimit"), job_field(job, "MinMemoryNode"), "gpu:1" in job) for job in jobs if job
    }
    assert ("00:02:00", "150M", True) in asked
    assert ("01:00:00", "1000M", False) in asked


def test_a_job_that_the_time_limit_ends_starts_again_and_goes_on_where_it_was(small_project, on_cluster, run):
    (small_project / "train.py").write_text(PATIENT)
    (small_project / "dvc.yaml").write_text(
        "stages:\n  train:\n    cmd: python train.py\n    deps: [train.py]\n    outs: [trained.txt]\n"
        "    meta: {runtime: 1}\n"
    )
    done = on_cluster(*profile("--slurm-no-account"), cwd=small_project)
    starts = [int(line.split("-")[-1]) for line in (small_project / "ran.log").read_text().split()]
    assert starts[0] == 0
    assert len(starts) == 2
    assert 0 < starts[1] < 90
    assert (small_project / "trained.txt").read_text() == "90 steps\n"
    assert done.stdout.count("has been submitted with SLURM jobid") == 2
    assert "Data and pipelines are up to date." in run("dvc", "status", cwd=small_project).stdout
