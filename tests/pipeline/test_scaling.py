"""The estimate of the paper's run: the schedule is right, and no time limit is shorter than the work."""

import importlib.util
import sys

import networkx
import pytest

ONE = {"threads": 1, "gpu": 0}


@pytest.fixture(scope="module")
def scaling(repository):
    spec = importlib.util.spec_from_file_location("scaling", repository / "benchmarks/scaling.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["scaling"] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    yield module
    del sys.modules["scaling"]


@pytest.fixture
def diamond(scaling):
    """Two jobs of 10 s and one of 30 s, of which one of the short ones has 50 s after it."""
    times = {"short": 10.0, "urgent": 10.0, "long": 30.0, "after": 50.0}
    jobs = {name: scaling.Job(name, seconds, ONE, 1e9, 0) for name, seconds in times.items()}
    jobs["urgent"] = scaling.Job("urgent", 10.0, ONE, 1e9, 1)
    graph = networkx.DiGraph([("urgent", "after")])
    graph.add_nodes_from(times)
    return jobs, graph


@pytest.mark.parametrize(("cores", "seconds"), [(1, 100), (2, 60), (3, 60)])
def test_a_schedule_that_was_done_by_hand(scaling, diamond, cores, seconds):
    plan = scaling.list_schedule(*diamond, {"threads": cores, "gpu": 0})
    assert plan.seconds == seconds
    assert plan.cores_busy == pytest.approx(100 / (seconds * cores))


def test_the_chain_that_bounds_is_named(scaling, diamond):
    assert scaling.list_schedule(*diamond, {"threads": 3, "gpu": 0}).bound_by == ["after", "urgent"]


def test_a_job_that_fits_nowhere_is_refused(scaling, diamond):
    with pytest.raises(ValueError, match="needs"):
        scaling.list_schedule(*diamond, {"threads": 0, "gpu": 0})


@pytest.fixture(scope="module")
def paper(scaling):
    return scaling.paper_jobs(scaling.TRAIN_STEP_S)


def test_no_time_limit_of_the_paper_ends_a_job_before_its_work_is_done(paper):
    """Training goes on where it was, three times; what begins anew needs twice its time in one piece."""
    jobs, _, _ = paper
    short = {
        name: (job.seconds, job.limit_s)
        for name, job in jobs.items()
        if (
            3 * job.limit_s < 1.5 * job.seconds
            if name.startswith("train@")
            else job.limit_s < 2 * job.seconds
        )
    }
    assert short == {}


def test_the_paper_is_bound_by_its_longest_chain_once_there_are_workers_enough(scaling, paper):
    jobs, graph, _ = paper
    sizes = ({key: n * size for key, size in scaling.WORKER.items()} for n in (1, 8, 64))
    one, eight, many = (scaling.list_schedule(jobs, graph, size).seconds for size in sizes)
    ways = {}
    for name in networkx.topological_sort(graph):
        before = max((ways[made] for made in graph.predecessors(name)), default=0.0)
        ways[name] = before + jobs[name].seconds
    assert one > eight >= many == pytest.approx(max(ways.values()))


def test_every_stage_of_the_paper_has_a_rate(scaling, paper):
    jobs, _, _ = paper
    assert [name for name, job in jobs.items() if job.seconds <= scaling.START_S] == []
