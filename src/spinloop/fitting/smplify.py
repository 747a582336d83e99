"""Fitting bodies to 2D keypoints, in batches.

With `camera: free` the translation is fitted together with the body, its depth tied to the start by a
quadratic term; with `camera: staged` root and translation are first fitted to the torso, then the
translation is frozen, as published. Whenever two fits are compared (`Fitter.place`, `keep_better`) both get
the translation that reprojects their pose and shape best, so that neither profits from how its camera was
found.

A batch is solved in chunks, side by side on the processor's cores. A fit is many small operations, in which
threads would wait for each other longer than they work, so every chunk has one thread. The chunks and their
order do not depend on the number of threads, nor does any bit of the result.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from spinloop.body.files import BodyFile
from spinloop.body.pose import BodyState
from spinloop.fitting.mean_pose import mean_pose, replace_invalid, rotated_half_turn
from spinloop.fitting.objective import Objective, Terms, fitted_keypoints
from spinloop.fitting.problems import BodyProblem, TorsoProblem, TranslationProblem, observe
from spinloop.fitting.solvers import Minimum, fit_adam, minimize
from spinloop.geometry.camera import estimate_translation
from spinloop.motion.mixture import Mixture
from spinloop.params.fitting import FitStage, FittingParams, StageWeights
from spinloop.tables.fits import BestFit, FitResult, StoredFit, join_results

_PLACING_ITERATIONS, _PLACING_DAMPING, _PLACING_TOLERANCE = 8, 1e-3, 1e-3


class Fitter:
    """Fits one body model to keypoints (pixels of the 224 px crop)."""

    def __init__(
        self,
        body: BodyFile,
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
        self.objective = Objective(body, prior, params.sigma_px, dtype).to(device)
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
                camera of a crop is estimated from the keypoints.
            keypoints: pixels and confidence; a joint with confidence 0, or a number that is not finite, does
                not count.
            anchor_weight: pull of each joint to its start, px² per rad², for `anchor: adaptive` (see
                `AdaptiveAnchor`).

        Raises:
            ValueError: `anchor: adaptive` without weights, or weights without it.
        """
        weight = self._anchor_weight(anchor_weight)
        return self._in_chunks(
            lambda *rows: self._fit(BodyState(*rows[:3]), rows[3], weight), *start, keypoints
        )

    @torch.no_grad()
    def fit_from_mean(self, keypoints: Float[Tensor, "B 49 3"]) -> FitResult:
        """Fit from the mean pose, in stages from strong to weak priors.

        Where the keypoints leave open which way a person faces, the first stages are done both ways, and the
        one with the lower objective is continued.

        Args:
            keypoints: as in `fit`.
        """
        return self._in_chunks(self._fit_from_mean, keypoints)

    @torch.no_grad()
    def fit_in_stages(
        self, start: BodyState, keypoints: Float[Tensor, "B 49 3"], stages: Sequence[FitStage]
    ) -> FitResult:
        """Fit from a given start in stages, each anchored at its own start; the camera is free.

        Args:
            start: as in `fit`.
            keypoints: as in `fit`.
            stages: weights of the terms and of the anchor.
        """

        def solve(*rows: Tensor) -> FitResult:
            side_view_px = self.params.mean_start.side_view_px
            first = replace_invalid(self.objective, BodyState(*rows[:3]), rows[3], side_view_px)
            return self._stages(stages, first, rows[3], self.params.damping)

        return self._in_chunks(solve, *start, keypoints)

    @torch.no_grad()
    def mean_pose(self, keypoints: Float[Tensor, "B 49 3"]) -> BodyState:
        """The mean pose placed by the torso, where `fit_from_mean` begins."""
        keypoints = keypoints.to(self._options["device"])
        return mean_pose(self.objective, keypoints, self.params.mean_start.side_view_px).state

    @torch.no_grad()
    def joints(self, state: BodyState) -> Float[Tensor, "B 49 3"]:
        """The 49 joints, metres, without the translation."""
        return self.objective.skeleton.joints(state.pose, state.betas)

    @torch.no_grad()
    def root_joint(self, betas: Float[Tensor, "B 10"]) -> Float[Tensor, "B 3"]:
        """The root joint, metres, without the translation; the pose does not move it."""
        return self.objective.skeleton.root_joint(betas.to(**self._options))

    @torch.no_grad()
    def reprojection(self, state: BodyState, keypoints: Float[Tensor, "B 49 3"]) -> Float[Tensor, "B 49"]:
        """Robust reprojection error of each joint, px²; zero where a joint does not count."""
        return self.objective.reprojection(state, keypoints)

    @torch.no_grad()
    def terms(self, state: BodyState, keypoints: Float[Tensor, "B 49 3"]) -> Terms:
        """All terms of the objective."""
        return self.objective.terms(state, keypoints, self.params.weights)

    @torch.no_grad()
    def place(self, state: BodyState, keypoints: Float[Tensor, "B 49 3"]) -> BodyState:
        """The same pose and shape with the translation that reprojects them best.

        The result does not depend on the translation of `state`.
        """
        joints, known = self.joints(state), fitted_keypoints(keypoints)
        first = estimate_translation(joints, known[..., :2], known[..., 2].square())
        problem = TranslationProblem(joints, known, self.params.sigma_px)
        found = minimize(problem, first, _PLACING_ITERATIONS, _PLACING_DAMPING, _PLACING_TOLERANCE)
        return state._replace(translation=found.unknowns)

    def _in_chunks(self, solve: Callable[..., FitResult], *tensors: Tensor) -> FitResult:
        moved = [tensor.detach().to(**self._options) for tensor in tensors]
        return solve_in_chunks(solve, moved, self.params.chunk_size)

    def _fit(
        self, start: BodyState, keypoints: Float[Tensor, "B 49 3"], anchor_weight: Float[Tensor, " 72"]
    ) -> FitResult:
        params = self.params
        start = replace_invalid(self.objective, start, keypoints, params.mean_start.side_view_px)
        if params.solver == "adam":
            state = fit_adam(self.objective, params, start, keypoints)
            steps = torch.full_like(start.pose[:, 0], 2 * params.n_iterations, dtype=torch.long)
            return self._result(state, start, keypoints, steps, steps < 0)
        first = start
        if params.camera == "staged":
            first = self._camera_stage(start, keypoints, params.n_iterations, params.damping)
        state, found = self._body_stage(
            first, start.pose, keypoints, params.weights, params.n_iterations, params.damping, anchor_weight
        )
        return self._result(state, start, keypoints, found.iterations, found.converged)

    def _fit_from_mean(self, keypoints: Float[Tensor, "B 49 3"]) -> FitResult:
        params = self.params.mean_start
        begin = mean_pose(self.objective, keypoints, params.side_view_px)
        best = self._first_stages(begin.state, keypoints)
        ambiguous = begin.is_ambiguous.nonzero()[:, 0]
        if len(ambiguous) > 0:
            start, seen = BodyState(*(part[ambiguous] for part in begin.state)), keypoints[ambiguous]
            other = self._first_stages(rotated_half_turn(self.objective, start, seen), seen)
            best = best.overwrite(ambiguous, other, other.objective < best.objective[ambiguous])
        rest = params.stages[params.n_stages_both_ways :]
        if not rest:
            return best
        found = self._stages(rest, best.state, keypoints, params.damping)
        return found._replace(iterations=best.iterations + found.iterations)

    def _first_stages(self, start: BodyState, keypoints: Float[Tensor, "B 49 3"]) -> FitResult:
        """The stages that are done both ways.

        With a free camera there is no camera stage: a root rotation from four points alone is a worse start
        than the mean pose.
        """
        params = self.params.mean_start
        if self.params.camera == "staged":
            start = self._camera_stage(start, keypoints, params.n_camera_iterations, params.damping)
        return self._stages(params.stages[: params.n_stages_both_ways], start, keypoints, params.damping)

    def _stages(
        self,
        stages: Sequence[FitStage],
        start: BodyState,
        keypoints: Float[Tensor, "B 49 3"],
        damping: float,
    ) -> FitResult:
        state, iterations = start, torch.zeros_like(start.pose[:, 0], dtype=torch.long)
        converged = iterations < 0
        for stage in stages:
            anchor_weight = start.pose.new_full((72,), stage.anchor_weight)
            state, found = self._body_stage(
                state, state.pose, keypoints, stage, stage.n_iterations, damping, anchor_weight
            )
            iterations, converged = iterations + found.iterations, found.converged
        return self._result(state, start, keypoints, iterations, converged)

    def _camera_stage(
        self, state: BodyState, keypoints: Float[Tensor, "B 49 3"], n_iterations: int, damping: float
    ) -> BodyState:
        """Root rotation and translation from the torso."""
        problem = TorsoProblem.at(self.objective, state, keypoints, self.params.depth_weight)
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
        anchor_weight: Float[Tensor, " 72"],
    ) -> tuple[BodyState, Minimum]:
        observations = observe(first._replace(pose=anchor), keypoints, anchor_weight.expand_as(anchor))
        moves_camera = self.params.camera == "free"
        problem = BodyProblem(self.objective, observations, weights, self.params.depth_weight, moves_camera)
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
        """The result; a row that did not stay finite returns to its start."""
        state = state.where(torch.isfinite(torch.cat(state, dim=1)).all(1), start)
        joints = self.joints(state)
        terms = self.objective.terms(state, keypoints, self.params.weights, joints)
        return FitResult(state, joints, terms.reprojection, terms.total, iterations, converged)


@torch.no_grad()
def keep_better(
    fitter: Fitter, stored: StoredFit, fitted: FitResult, keypoints: Float[Tensor, "B 49 3"]
) -> BestFit:
    """Keep the new fit where its reprojection error is strictly lower; both are measured in the same way.

    A person without any visible joint gets no new fit: the error would be zero for every fit.

    Args:
        fitter: measures.
        stored: the best fits so far.
        fitted: the new fits.
        keypoints: pixels and confidence, in the view of both.
    """
    old = stored.state.where(stored.is_known, fitted.state)
    both = BodyState(*(torch.cat(pair) for pair in zip(old, fitted.state, strict=True)))
    twice = torch.cat([keypoints, keypoints])
    both = fitter.place(both, twice)
    old_error, new_error = fitter.reprojection(both, twice).mean(-1).chunk(2)
    (old, new) = (BodyState(*half) for half in zip(*(part.chunk(2) for part in both), strict=True))
    is_seen = (fitted_keypoints(keypoints)[..., 2] > 0).any(-1)
    is_new = is_seen & torch.isfinite(new_error) & (~stored.is_known | (new_error < old_error))
    best = new.where(is_new, old.where(stored.is_known, stored.state))
    old_error = torch.where(stored.is_known, old_error, torch.inf)
    error = torch.where(is_new, new_error, old_error)
    return BestFit(best, error, stored.is_known | is_new, is_new)


def solve_in_chunks(solve: Callable[..., FitResult], tensors: list[Tensor], size: int) -> FitResult:
    """Solve rows of a batch chunk by chunk; on a processor with as many threads as torch has here.

    Args:
        solve: a chunk of each tensor to its fits; without gradients.
        tensors: all with the same number of rows, on one device.
        size: rows of a chunk; the last one may be smaller.
    """
    chunks = list(zip(*(tensor.split(size) for tensor in tensors), strict=True))
    if tensors[0].device.type != "cpu":
        return join_results([solve(*chunk) for chunk in chunks])
    with _one_thread_per_operation() as n_threads:
        n_workers = min(n_threads, len(chunks))
        if n_workers == 1:
            return join_results([solve(*chunk) for chunk in chunks])
        # torch's number of threads and gradient mode belong to a thread: set both in each worker.
        with ThreadPoolExecutor(n_workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return join_results(list(pool.map(lambda chunk: _without_gradients(solve, chunk), chunks)))


def _without_gradients(solve: Callable[..., FitResult], chunk: tuple[Tensor, ...]) -> FitResult:
    with torch.no_grad():
        return solve(*chunk)


@contextmanager
def _one_thread_per_operation() -> Iterator[int]:
    """Set torch to one thread; yield the number before, and restore it."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield n_threads
    finally:
        torch.set_num_threads(n_threads)
