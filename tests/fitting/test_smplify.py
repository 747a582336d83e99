"""Fits: golden numbers of the published procedure, and independence of the people of a batch."""

import threading

import pytest
import torch

from spinloop.body.pose import BodyState
from spinloop.fitting.smplify import Fitter, keep_better, solve_in_chunks
from spinloop.geometry.camera import project
from spinloop.joints import FIT_IGNORED
from spinloop.params.fitting import FitStage
from spinloop.tables.fits import FitResult, StoredFit


def _flat(result):
    parts = [*result.state, result.joints.flatten(1), result.reprojection, result.objective[:, None]]
    return torch.cat(parts, dim=1)


def _no_fits(n):
    zeros = (torch.zeros(n, width) for width in (72, 10, 3))
    return StoredFit(BodyState(*zeros), torch.full((n,), torch.inf), torch.zeros(n, dtype=torch.bool))


@pytest.fixture(scope="module")
def published(golden, prior, params):
    """The published procedure, ten and ten steps."""
    return Fitter(golden.body, prior, params.model_copy(update={"solver": "adam", "n_iterations": 10}))


def test_adam_equals_the_official_fit(published, start, keypoints):
    result = published.fit(start, keypoints)
    loss, place = result.reprojection.mean(-1), result.state.translation
    torch.testing.assert_close(loss, torch.tensor([7.1889, 5.7580]), atol=1e-3, rtol=0)
    expected = torch.tensor([[0.015398, -0.073039, 45.995918], [-0.092992, 0.114570, 49.004349]])
    torch.testing.assert_close(place, expected, atol=1e-3, rtol=0)


def test_adam_with_hidden_hips_equals_the_official_fit_in_training(published, start, keypoints):
    # The official training has zeroed the ignored confidences in place before it fits.
    hidden = keypoints.clone()
    hidden[:, list(FIT_IGNORED), 2] = 0
    # Its camera stage counts the annotated hips whatever their confidence; ours needs them to be seen.
    hidden[:, [27, 28], 2] = 1
    result = published.fit(start, hidden)
    torch.testing.assert_close(
        result.reprojection.mean(-1), torch.tensor([7.0748, 6.5648]), atol=1e-3, rtol=0
    )
    expected = torch.tensor([[0.006053, -0.098345, 46.004574], [-0.078430, 0.075713, 49.005966]])
    torch.testing.assert_close(result.state.translation, expected, atol=1e-3, rtol=0)


def test_lm_ends_below_adam(fitter, published, start, keypoints):
    longer = published.params.model_copy(update={"n_iterations": 100})
    theirs = Fitter.__new__(Fitter)
    theirs.__dict__.update(published.__dict__, params=longer)
    assert (fitter.fit(start, keypoints).objective <= theirs.fit(start, keypoints).objective).all()


def test_a_body_is_recovered_from_its_own_joints(golden, prior, params, truth, start):
    # All joints seen exactly and almost no prior: nothing is left but the truth.
    weak = params.weights.model_copy(update={"pose": 1e-3, "angle": 1e-3, "shape": 1e-3})
    exact = Fitter(
        golden.body,
        prior,
        params.model_copy(
            update={"weights": weak, "n_iterations": 60, "tolerance": 0.0, "depth_weight": 0.0}
        ),
        dtype=torch.float64,
    )
    people = BodyState(*(part.double() for part in truth))
    pixels = project(exact.joints(people), people.translation)
    seen = torch.cat([pixels, torch.ones(2, 49, 1).double()], dim=-1)
    result = exact.fit(BodyState(*(part.double() for part in start)), seen)
    error_px = (project(result.joints, result.state.translation) - pixels).norm(dim=-1)
    error_px[:, list(FIT_IGNORED)] = 0
    assert error_px.max() < 0.05


@pytest.mark.parametrize("camera", ["free", "staged"])
@pytest.mark.parametrize("solver", ["lm", "adam"])
def test_a_broken_person_disturbs_no_fits(golden, prior, params, crowd, solver, camera):
    fitter = Fitter(golden.body, prior, params.model_copy(update={"solver": solver, "camera": camera}))
    begin, keypoints = crowd
    broken_start = BodyState(*(part.clone() for part in begin))
    broken_start.pose[2, 7] = float("nan")
    broken_start.betas[3] = float("inf")
    broken_start.translation[4] = torch.tensor([0.0, 0.0, -5.0])
    broken = keypoints.clone()
    broken[5] = float("nan")
    broken[6, :, 2] = 0
    broken[7, :, :2] = 1e12
    result, clean = fitter.fit(broken_start, broken), fitter.fit(begin, keypoints)
    assert torch.isfinite(_flat(result)).all()
    whole = [0, 1, 8, 9, 10, 11]
    torch.testing.assert_close(_flat(result)[whole], _flat(clean)[whole], atol=1e-4, rtol=1e-4)


def test_broken_people_disturb_no_one_from_the_mean_pose(golden, prior, params, crowd):
    """In double precision: from so far away, single rounding errors grow to differences that can be seen."""
    fitter = Fitter(golden.body, prior, params, dtype=torch.float64)
    keypoints = crowd[1].clone()
    clean = fitter.fit_from_mean(keypoints)
    keypoints[5] = float("nan")
    keypoints[6, :, 2] = 0
    result = fitter.fit_from_mean(keypoints)
    assert torch.isfinite(_flat(result)).all()
    whole = [0, 1, 2, 3, 4, 7, 8, 9, 10, 11]
    torch.testing.assert_close(_flat(result)[whole], _flat(clean)[whole], atol=1e-4, rtol=1e-4)


def _in_two_orders(golden, prior, params, crowd, dtype):
    """The crowd fitted whole, and shuffled in chunks of five; the second in the order of the first."""
    begin, keypoints = crowd
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    small = Fitter(golden.body, prior, params.model_copy(update={"chunk_size": 5}), dtype=dtype)
    shuffled = small.fit(BodyState(*(part[order] for part in begin)), keypoints[order])
    whole = Fitter(golden.body, prior, params, dtype=dtype).fit(begin, keypoints)
    return _flat(whole)[order], _flat(shuffled)


def test_results_do_not_depend_on_order_or_batch(golden, prior, params, crowd):
    whole, shuffled = _in_two_orders(golden, prior, params, crowd, torch.float64)
    torch.testing.assert_close(shuffled, whole, atol=1e-8, rtol=1e-8)


def test_in_single_precision_order_and_batch_change_the_last_digits_only(golden, prior, params, crowd):
    # Products of other sizes round differently; this body of random numbers amplifies it most.
    whole, shuffled = _in_two_orders(golden, prior, params, crowd, torch.float32)
    torch.testing.assert_close(shuffled[:, :85], whole[:, :85], atol=1e-3, rtol=0)
    torch.testing.assert_close(shuffled[:, -1], whole[:, -1], atol=0, rtol=1e-4)


def test_the_same_input_gives_the_same_bits(fitter, crowd):
    assert torch.equal(_flat(fitter.fit(*crowd)), _flat(fitter.fit(*crowd)))


def test_inputs_are_left_untouched(fitter, crowd):
    begin, keypoints = crowd
    copies = [part.clone() for part in (*begin, keypoints)]
    fitter.fit(begin, keypoints)
    fitter.fit_from_mean(keypoints)
    fitter.place(begin, keypoints)
    assert all(torch.equal(a, b) for a, b in zip((*begin, keypoints), copies, strict=True))


def test_a_strong_anchor_keeps_the_pose_and_none_lets_it_move(golden, prior, params, crowd):
    begin, keypoints = crowd
    moved = {}
    for weight in (0.0, 100.0, 1e7):
        fixed = params.model_copy(update={"anchor": "fixed", "anchor_weight": weight})
        result = Fitter(golden.body, prior, fixed).fit(begin, keypoints)
        moved[weight] = (result.state.pose - begin.pose).abs().max().item()
    assert moved[1e7] < 0.01 < moved[100.0] < moved[0.0]


def test_stages_are_anchored_at_their_own_starts(golden, prior, params, crowd):
    begin, keypoints = crowd
    fixed = params.model_copy(update={"anchor": "fixed", "anchor_weight": 100.0, "n_iterations": 3})
    fitter = Fitter(golden.body, prior, fixed)
    stage = FitStage(**params.weights.model_dump(), n_iterations=3, anchor_weight=100.0)
    once = fitter.fit(begin, keypoints)
    assert torch.equal(fitter.fit_in_stages(begin, keypoints, [stage]).state.pose, once.state.pose)
    twice = fitter.fit_in_stages(begin, keypoints, [stage, stage])
    assert torch.equal(twice.state.pose, fitter.fit(once.state, keypoints).state.pose)
    assert (twice.iterations >= once.iterations).all()


def test_an_adaptive_anchor_ties_each_joint_by_its_weight(golden, prior, params, crowd):
    begin, keypoints = crowd
    weight = torch.zeros(24)
    weight[16:18] = 1e7
    adaptive = Fitter(golden.body, prior, params.model_copy(update={"anchor": "adaptive"}))
    away = (adaptive.fit(begin, keypoints, weight).state.pose - begin.pose).view(12, 24, 3).norm(dim=-1)
    assert away[:, 16:18].max() < 0.01 < away[:, [1, 2, 18, 19]].mean()
    with pytest.raises(ValueError, match="adaptive"):
        adaptive.fit(begin, keypoints)


def test_place_ignores_the_translation_it_is_given(fitter, crowd):
    begin, keypoints = crowd
    elsewhere = begin._replace(translation=begin.translation + 5)
    assert torch.equal(
        fitter.place(begin, keypoints).translation, fitter.place(elsewhere, keypoints).translation
    )


def test_place_finds_the_best_translation(fitter, crowd):
    begin, keypoints = crowd
    placed = fitter.place(begin, keypoints)
    best = fitter.reprojection(placed, keypoints).sum(-1)
    for shift in torch.eye(3) * torch.tensor([0.02, 0.02, 2.0]):
        for sign in (1, -1):
            aside = placed._replace(translation=placed.translation + sign * shift)
            assert (fitter.reprojection(aside, keypoints).sum(-1) > best).all()


def test_only_a_strictly_better_fit_replaces_a_known_one(fitter, crowd):
    begin, keypoints = crowd
    result = fitter.fit(begin, keypoints)
    first = keep_better(fitter, _no_fits(12), result, keypoints)
    assert first.is_new.all()
    known = StoredFit(first.state, first.error, first.is_known)
    again = keep_better(fitter, known, result, keypoints)
    assert not again.is_new.any()
    torch.testing.assert_close(again.error, first.error)
    worse = keep_better(fitter, known, result._replace(state=begin), keypoints)
    better = keep_better(fitter, StoredFit(begin, first.error, first.is_known), result, keypoints)
    assert not worse.is_new.any()
    assert better.is_new.all()


def test_a_person_of_whom_nothing_is_seen_gets_no_fit(fitter, crowd):
    begin, keypoints = crowd
    hidden = keypoints.clone()
    hidden[3, :, 2] = 0
    kept = keep_better(fitter, _no_fits(12), fitter.fit(begin, hidden), hidden)
    assert kept.is_new.tolist() == kept.is_known.tolist() == [i != 3 for i in range(12)]
    assert torch.isinf(kept.error[3])
    assert (kept.state.pose[3] == 0).all()


@pytest.fixture(autouse=True)
def _same_threads_afterwards():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def _numbered(rows):
    n = len(rows)
    state = BodyState(rows.expand(n, 72), torch.zeros(n, 10), torch.zeros(n, 3))
    flags = torch.zeros(n, dtype=torch.bool)
    return FitResult(state, torch.zeros(n, 49, 3), torch.zeros(n, 49), torch.zeros(n), flags.long(), flags)


@pytest.fixture(scope="module")
def solvers(golden, prior, params):
    """All solvers, with few iterations and chunks of five people."""
    stages = [stage.model_copy(update={"n_iterations": 2}) for stage in params.mean_start.stages]
    few = params.mean_start.model_copy(update={"stages": stages})
    settings = params.model_copy(update={"chunk_size": 5, "n_iterations": 2, "mean_start": few})
    lm = Fitter(golden.body, prior, settings)
    adam = Fitter(golden.body, prior, settings.model_copy(update={"solver": "adam"}))
    return {"lm": lm.fit, "adam": adam.fit, "mean": lambda _, keypoints: lm.fit_from_mean(keypoints)}


@pytest.mark.parametrize("name", ["lm", "adam", "mean"])
def test_the_number_of_threads_does_not_change_a_bit(solvers, crowd, name):
    found = []
    for n_threads in (1, 3):
        torch.set_num_threads(n_threads)
        result = solvers[name](*crowd)
        found.append(torch.cat([_flat(result), result.iterations[:, None], result.converged[:, None]], dim=1))
        assert torch.get_num_threads() == n_threads
    assert torch.equal(*found)


@pytest.mark.parametrize(("n_threads", "n_chunks"), [(1, 3), (2, 4), (4, 2), (4, 1)])
def test_chunks_run_side_by_side_with_one_thread_each_and_keep_their_order(n_threads, n_chunks):
    torch.set_num_threads(n_threads)
    at_once = min(n_threads, n_chunks)
    # No chunk passes before so many threads have arrived.
    barrier, seen = threading.Barrier(at_once), set()

    def solve(rows):
        barrier.wait(timeout=60)
        seen.add((threading.get_ident(), torch.get_num_threads(), torch.is_grad_enabled()))
        return _numbered(rows)

    with torch.no_grad():
        result = solve_in_chunks(solve, [torch.arange(4.0 * n_chunks)[:, None]], 4)
    assert result.state.pose[:, 0].tolist() == list(range(4 * n_chunks))
    assert len(seen) == at_once
    assert all(n == 1 and not has_gradients for _, n, has_gradients in seen)


def test_an_error_in_a_chunk_is_raised_and_the_number_of_threads_restored():
    torch.set_num_threads(2)

    def solve(rows):
        raise FloatingPointError(f"{len(rows)} rows")

    with pytest.raises(FloatingPointError, match="4 rows"):
        solve_in_chunks(solve, [torch.zeros(8, 1)], 4)
    assert torch.get_num_threads() == 2
