"""A batch solved in chunks, side by side on the processor's cores.

Fits are made of many small operations. Threads inside each operation wait for each other longer than they
work, so every chunk has one thread. The chunks and their order do not depend on the number of threads, and
neither does a bit of the result.

Fitting bodies to 2D keypoints, in batches.

The camera: with `camera: free` the translation is fitted together with the body, its depth held near the
start by a quadratic term; with `camera: staged` root and translation are first fitted to the torso, then
the translation is frozen, as published. Whenever two fits are compared (`Fitter.place`, `keep_better`) both
get the translation that reprojects their pose and shape best, so neither profits from how its camera came
about.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from spinloop.body.moments import BodyArrays
from spinloop.body.pose import BodyState
from spinloop.fitting.body_problem import BodyProblem, FittedBody, body_evidence
from spinloop.fitting.camera_problem import PlacedPoints, TranslationProblem, torso_problem
from spinloop.fitting.energy import BodyEnergy, Terms, fitted_only
from spinloop.fitting.initial import mean_start, sane_start, turned_around
from spinloop.fitting.solvers import Minimum, fit_adam, minimize
from spinloop.geometry.camera import estimate_translation
from spinloop.motion.mixture import Mixture
from spinloop.params.fitting import FittingParams, MeanStage, StageWeights
from spinloop.tables.fits import Better, Fit, FitResult, join_results


def solve_in_chunks(solve: Callable[..., FitResult], tensors: list[Tensor], size: int) -> FitResult:
    """Solve rows of a batch chunk by chunk; on a processor by as many threads as torch has here.

    Args:
        solve: a chunk of each tensor to its fits; without gradients.
        tensors: all with the same number of rows, on one device.
        size: rows of a chunk; the last one may be smaller.
    """
    chunks = list(zip(*(tensor.split(size) for tensor in tensors), strict=True))
    if tensors[0].device.type != "cpu":
        return join_results([solve(*chunk) for chunk in chunks])
    with _one_thread_each() as n_threads:
        n_workers = min(n_threads, len(chunks))
        if n_workers == 1:
            return join_results([solve(*chunk) for chunk in chunks])
        # Settings of torch belong to a thread: new ones must be told both.
        with ThreadPoolExecutor(n_workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return join_results(list(pool.map(lambda chunk: _without_gradients(solve, chunk), chunks)))


def _without_gradients(solve: Callable[..., FitResult], chunk: tuple[Tensor, ...]) -> FitResult:
    with torch.no_grad():
        return solve(*chunk)


@contextmanager
def _one_thread_each() -> Iterator[int]:
    """One thread for every operation; gives the number there was before, and sets it again."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield n_threads
    finally:
        torch.set_num_threads(n_threads)


_PLACING_ITERATIONS, _PLACING_TOLERANCE = 8, 1e-3


class Fitter:
    """Fits one body model to keypoints (pixels of the 224 px crop)."""

    def __init__(
        self,
        body: BodyArrays,
        prior: Mixture,
        params: FittingParams,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Prepare a body, a prior and a solver.

        Args:
            body: arrays of an SMPL-format body.
            prior: mixture over body poses.
            params: objective and solver.
            device: where to compute.
            dtype: of all numbers.
        """
        self.params = params
        self.energy = BodyEnergy(body, prior, params.sigma_px, dtype).to(device)
        self._model = FittedBody(body, self.energy.prior, params.sigma_px, dtype).to(device)
        self._options = {"dtype": dtype, "device": device}

    @torch.no_grad()
    def fit(
        self,
        start: BodyState,
        keypoints: Float[Tensor, "B 49 3"],
        anchor_weight: Float[Tensor, " 24"] | None = None,
    ) -> FitResult:
        """Fit from a given start.

        Args:
            start: where to begin. A row that is not finite begins at the mean pose; a translation that is no
                camera of a crop is estimated anew.
            keypoints: pixels and confidence; 0, or a number that is not finite, leaves a joint out.
            anchor_weight: pull of each joint to its start, px² per rad², for `anchor: adaptive` (see
                `fitting.anchor`).

        Raises:
            ValueError: `anchor: adaptive` without weights, or weights without it.
        """
        held = self._anchor_weight(anchor_weight)
        return self._in_chunks(
            lambda *rows: self._fit(BodyState(*rows[:3]), rows[3], held), *start, keypoints
        )

    @torch.no_grad()
    def fit_from_mean(self, keypoints: Float[Tensor, "B 49 3"]) -> FitResult:
        """Fit from the mean pose, in stages from strong to weak priors.

        Where the picture does not say which way a person faces, the first stages are done both ways, and the
        one with the lower objective goes on.

        Args:
            keypoints: as in `fit`.
        """
        return self._in_chunks(self._fit_from_mean, keypoints)

    @torch.no_grad()
    def joints(self, state: BodyState) -> Float[Tensor, "B 49 3"]:
        """The 49 joints, metres, without the translation."""
        return self.energy.skeleton.joints(state.pose, state.betas)

    @torch.no_grad()
    def root_joint(self, betas: Float[Tensor, "B 10"]) -> Float[Tensor, "B 3"]:
        """The root joint, metres, without the translation; the pose does not move it."""
        return self.energy.skeleton.root_joint(betas.to(**self._options))

    @torch.no_grad()
    def reprojection(self, state: BodyState, keypoints: Float[Tensor, "B 49 3"]) -> Float[Tensor, "B 49"]:
        """Robust reprojection error of each joint, px²; zero where a joint does not count."""
        return self.energy.reprojection(state, keypoints)

    @torch.no_grad()
    def terms(self, state: BodyState, keypoints: Float[Tensor, "B 49 3"]) -> Terms:
        """All terms of the objective."""
        return self.energy.terms(state, keypoints, self.params.weights)

    @torch.no_grad()
    def place(self, state: BodyState, keypoints: Float[Tensor, "B 49 3"]) -> BodyState:
        """The same pose and shape with the translation that reprojects them best.

        The translation that `state` has plays no part.
        """
        joints, known = self.joints(state), fitted_only(keypoints)
        first = estimate_translation(joints, known[..., :2], known[..., 2].square())
        problem = TranslationProblem(PlacedPoints(joints, known), self.params.sigma_px)
        found = minimize(problem, first, _PLACING_ITERATIONS, 1e-3, _PLACING_TOLERANCE)
        return state._replace(translation=found.unknowns)

    def _in_chunks(self, solve: Callable[..., FitResult], *tensors: Tensor) -> FitResult:
        moved = [tensor.detach().to(**self._options) for tensor in tensors]
        return solve_in_chunks(solve, moved, self.params.chunk_size)

    def _fit(
        self, start: BodyState, keypoints: Float[Tensor, "B 49 3"], held: Float[Tensor, " 72"]
    ) -> FitResult:
        params = self.params
        start = sane_start(self.energy, start, keypoints, params.mean_start.side_view_px)
        if params.solver == "adam":
            state = fit_adam(self.energy, params, start, keypoints)
            steps = torch.full_like(start.pose[:, 0], 2 * params.n_iterations, dtype=torch.long)
            return self._result(state, start, keypoints, steps, steps < 0)
        first = start
        if params.camera == "staged":
            first = self._camera_stage(start, keypoints, params.n_iterations, params.damping)
        state, found = self._body_stage(
            first, start.pose, keypoints, params.weights, params.n_iterations, params.damping, held
        )
        return self._result(state, start, keypoints, found.iterations, found.converged)

    def _fit_from_mean(self, keypoints: Float[Tensor, "B 49 3"]) -> FitResult:
        params = self.params.mean_start
        begin = mean_start(self.energy, keypoints, params.side_view_px)
        best = self._first_stages(begin.state, keypoints)
        doubtful = begin.is_ambiguous.nonzero()[:, 0]
        if len(doubtful) > 0:
            start, seen = BodyState(*(part[doubtful] for part in begin.state)), keypoints[doubtful]
            other = self._first_stages(turned_around(self.energy, start, seen), seen)
            best = best.overwrite(doubtful, other, other.objective < best.objective[doubtful])
        rest = params.stages[params.n_stages_both_ways :]
        if not rest:
            return best
        found = self._stages(rest, best.state, keypoints)
        return found._replace(iterations=best.iterations + found.iterations)

    def _first_stages(self, start: BodyState, keypoints: Float[Tensor, "B 49 3"]) -> FitResult:
        """The stages that are done both ways.

        With a free camera none is for the camera alone: a root that only four points have turned is a worse
        start than the mean pose is.
        """
        params = self.params.mean_start
        if self.params.camera == "staged":
            start = self._camera_stage(start, keypoints, params.n_camera_iterations, params.damping)
        return self._stages(params.stages[: params.n_stages_both_ways], start, keypoints)

    def _stages(
        self, stages: Sequence[MeanStage], start: BodyState, keypoints: Float[Tensor, "B 49 3"]
    ) -> FitResult:
        state, free = start, start.pose.new_zeros(72)
        iterations = torch.zeros_like(start.pose[:, 0], dtype=torch.long)
        converged = iterations < 0
        for stage in stages:
            state, found = self._body_stage(
                state, state.pose, keypoints, stage, stage.n_iterations, self.params.mean_start.damping, free
            )
            iterations, converged = iterations + found.iterations, found.converged
        return self._result(state, start, keypoints, iterations, converged)

    def _camera_stage(
        self, state: BodyState, keypoints: Float[Tensor, "B 49 3"], n_iterations: int, damping: float
    ) -> BodyState:
        """Root rotation and translation from the torso."""
        problem = torso_problem(self.energy, state, keypoints, self.params.depth_weight)
        first = torch.cat([state.pose[:, :3], state.translation], dim=1)
        found = minimize(problem, first, n_iterations, damping, self.params.tolerance).unknowns
        return BodyState(torch.cat([found[:, :3], state.pose[:, 3:]], dim=1), state.betas, found[:, 3:])

    def _body_stage(
        self,
        first: BodyState,
        anchor: Float[Tensor, "B 72"],
        keypoints: Float[Tensor, "B 49 3"],
        weights: StageWeights,
        n_iterations: int,
        damping: float,
        held: Float[Tensor, " 72"],
    ) -> tuple[BodyState, Minimum]:
        evidence = body_evidence(first._replace(pose=anchor), keypoints, held.expand_as(anchor))
        moves_camera = self.params.camera == "free"
        problem = BodyProblem(self._model, evidence, weights, self.params.depth_weight, moves_camera)
        found = minimize(problem, torch.cat(first, dim=1), n_iterations, damping, self.params.tolerance)
        return BodyState(*found.unknowns.split((72, 10, 3), dim=1)), found

    def _anchor_weight(self, given: Float[Tensor, " 24"] | None) -> Float[Tensor, " 72"]:
        if (given is None) == (self.params.anchor == "adaptive"):
            raise ValueError("anchor weights are given with `anchor: adaptive`, and only with it")
        if given is not None:
            return given.to(**self._options).repeat_interleave(3)
        weight = self.params.anchor_weight if self.params.anchor == "fixed" else 0.0
        return torch.full((72,), weight, **self._options)

    def _result(
        self,
        state: BodyState,
        start: BodyState,
        keypoints: Float[Tensor, "B 49 3"],
        iterations: Int[Tensor, " B"],
        converged: Bool[Tensor, " B"],
    ) -> FitResult:
        """The result; a row that did not stay finite goes back to its start."""
        state = state.where(torch.isfinite(torch.cat(state, dim=1)).all(1), start)
        joints = self.joints(state)
        terms = self.energy.terms(state, keypoints, self.params.weights, joints)
        return FitResult(state, joints, terms.reprojection, terms.total, iterations, converged)


@torch.no_grad()
def keep_better(fitter: Fitter, known: Fit, fitted: FitResult, keypoints: Float[Tensor, "B 49 3"]) -> Better:
    """Keep the new fit where its reprojection error is strictly lower; both are measured in the same way.

    A person of whom no joint is seen gets no new fit: its error would be zero whatever the fit.

    Args:
        fitter: measures.
        known: the best fits so far.
        fitted: the new fits.
        keypoints: pixels and confidence, in the view of both.
    """
    old = known.state.where(known.is_known, fitted.state)
    both = BodyState(*(torch.cat(pair) for pair in zip(old, fitted.state, strict=True)))
    twice = torch.cat([keypoints, keypoints])
    both = fitter.place(both, twice)
    old_error, new_error = fitter.reprojection(both, twice).mean(-1).chunk(2)
    (old, new) = (BodyState(*half) for half in zip(*(part.chunk(2) for part in both), strict=True))
    is_seen = (fitted_only(keypoints)[..., 2] > 0).any(-1)
    is_new = is_seen & torch.isfinite(new_error) & (~known.is_known | (new_error < old_error))
    best = new.where(is_new, old.where(known.is_known, known.state))
    old_error = torch.where(known.is_known, old_error, torch.inf)
    error = torch.where(is_new, new_error, old_error)
    return Better(best, error, known.is_known | is_new, is_new)
