"""A world small enough to train in: a stick body, its random people, their pictures and keypoints."""

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np
import pytest
import torch

from spinloop.body.files import BodyFile
from spinloop.body.joints_only import JointsOnly
from spinloop.body.model import BodyModel
from spinloop.body.pose import BodyState
from spinloop.fitting.smplify import Fitter, keep_better
from spinloop.geometry.camera import project
from spinloop.geometry.crop import crop_affine
from spinloop.joints import SMPL24, SMPL_PARENTS, VERTEX_JOINTS
from spinloop.motion.mixture import Mixture
from spinloop.params.fitting import FitStage, FittingParams, MeanStartParams, StageWeights
from spinloop.params.training import (
    AugmentationParams,
    InitialWeights,
    LossWeights,
    MixtureGroup,
    MonitorParams,
    NetworkParams,
    SettingParams,
    TrainParams,
)
from spinloop.regression.hmr import Hmr, mean_from_prior
from spinloop.resume import MadeFrom
from spinloop.tables.fits import FitStore
from spinloop.training.batches import Batch, BatchLoader, make_batch
from spinloop.training.checkpoint import TrainingCheckpoint
from spinloop.training.data import MixtureSampler, Split
from spinloop.training.distributed import ProcessGroup, TrainableNetwork
from spinloop.training.loop import TrainingRun, weights_generator
from spinloop.training.monitor import History, Monitor
from spinloop.training.step import AnchorWeights, TrainingContext

NO_MONITOR = MonitorParams(sheet_every=0, sheet_people=2, tensorboard=False, dvclive=False)

# x to the body's left, y up, z to the front; metres, T-pose.
_REST = {
    "pelvis": (0, 0, 0), "hip": (0.08, -0.09, 0), "spine1": (0, 0.12, 0), "knee": (0.1, -0.47, 0),
    "spine2": (0, 0.25, 0), "ankle": (0.09, -0.87, 0), "spine3": (0, 0.31, 0), "foot": (0.1, -0.93, 0.12),
    "neck": (0, 0.52, 0), "collar": (0.08, 0.43, 0), "head": (0, 0.6, 0.03), "shoulder": (0.18, 0.46, 0),
    "elbow": (0.44, 0.45, 0), "wrist": (0.69, 0.46, 0), "hand": (0.77, 0.45, 0),
}  # fmt: skip
_BONE = {"nose": "head", "eye": "head", "ear": "head", "toe": "foot", "heel": "ankle"}
_OFFSET = {
    "nose": (0, 0.03, 0.1),
    "eye": (0.03, 0.06, 0.08),
    "ear": (0.08, 0.04, 0),
    "heel": (0, -0.07, -0.05),
}


def _side(name: str) -> float:
    return -1.0 if name.startswith("right_") else 1.0


def _rest(name: str) -> np.ndarray:
    x, y, z = _REST[name.removeprefix("left_").removeprefix("right_")]
    return np.array([_side(name) * x, y, z], float)


@pytest.fixture(scope="session")
def stick_body() -> BodyFile:
    """Every vertex hangs on one bone; joints are the means of their bone's vertices."""
    rng = np.random.default_rng(0)
    bones = np.where(np.arange(6890) < 6888, np.arange(6890) % 24, 0)
    # The same flesh on both sides, so that the body is its own mirror image.
    sides = np.array([[_side(name) if _rest(name)[0] else 0.0, 1, 1] for name in SMPL24])
    flesh = 0.02 * rng.standard_normal((6890 // 24 + 1, 3))[np.arange(6890) // 24]
    vertices = np.array([_rest(name) for name in SMPL24])[bones] + sides[bones] * flesh
    for name, vertex in VERTEX_JOINTS.items():
        kind = next((kind for kind in _BONE if kind in name), "hand")
        bone = _BONE.get(kind, "hand")
        bone = bone if bone == "head" else name.split("_")[0] + "_" + bone
        bones[vertex] = SMPL24.index(bone)
        vertices[vertex] = _rest(bone) + np.array(_OFFSET.get(kind, (0, 0, 0.05))) * [_side(name), 1, 1]
    weights = np.eye(24)[bones]
    regressor = (weights / weights.sum(0)).T
    rows = [SMPL24.index(name) for name in ("right_hip", "left_hip", "neck", "head", "pelvis", "spine3")]
    extra = regressor[[*rows, SMPL24.index("spine2"), SMPL24.index("neck"), SMPL24.index("head")]]
    shapedirs = np.zeros((6890, 3, 10))
    shapedirs[:, :, 0] = 0.03 * vertices
    shapedirs[:, 0, 1] = 0.03 * vertices[:, 0]
    return BodyFile(
        v_template=vertices.astype(np.float32),
        shapedirs=shapedirs.astype(np.float32),
        posedirs=np.zeros((6890, 3, 207), np.float32),
        J_regressor=regressor.astype(np.float32),
        weights=weights.astype(np.float32),
        kintree_table=np.array([SMPL_PARENTS, range(24)], dtype=np.int64),
        f=np.arange(6888)[:, None].astype(np.int32) + np.arange(3, dtype=np.int32),
        J_regressor_extra=extra.astype(np.float32),
        J_regressor_h36m=regressor[:17].astype(np.float32),
        part_labels=np.ones(6888, np.uint8),
        gender="neutral",
    )


@pytest.fixture(scope="session")
def prior() -> Mixture:
    return Mixture(np.zeros((1, 69)), 0.1 * np.eye(69)[None], np.ones(1))


class People(NamedTuple):
    """True bodies in their own crop, and the split that shows them."""

    state: BodyState
    split: Split


N_PEOPLE = 12
BOX_PX, PACKED_PX = 112, 200
"""Side of the box and of the whole in a packed picture."""


@pytest.fixture(scope="session")
def people(stick_body: BodyFile) -> People:
    """People of random pose; a picture is a grey disk at every keypoint."""
    rng = np.random.default_rng(1)
    pose = 0.25 * rng.standard_normal((N_PEOPLE, 72))
    pose[:, :3] = [np.pi, 0, 0] + 0.05 * rng.standard_normal((N_PEOPLE, 3))
    betas = 0.5 * rng.standard_normal((N_PEOPLE, 10))
    translation = np.tile([0.0, -0.1, 52.0], (N_PEOPLE, 1))
    state = BodyState(*(torch.tensor(a, dtype=torch.float32) for a in (pose, betas, translation)))
    joints = JointsOnly(stick_body).joints(state.pose, state.betas)
    crop_px = project(joints, state.translation).numpy()
    # The original image is twice as large as the crop, and the box lies off its corner.
    center, scale = np.array([260.0, 240.0]), 448 / 200
    pixels = crop_px * 2 + (center - 224)
    keypoints = np.concatenate([pixels, np.ones((N_PEOPLE, 49, 1))], axis=2).astype(np.float32)
    affine = crop_affine(center, scale * PACKED_PX / BOX_PX, size_px=float(PACKED_PX))
    images = [_picture(points @ affine[:, :2].T + affine[:, 2]) for points in pixels]
    split = Split(
        ids=[f"stick_train/{index:02d}.jpg#0" for index in range(N_PEOPLE)],
        keypoints=keypoints,
        center=np.tile(center, (N_PEOPLE, 1)),
        scale=np.full(N_PEOPLE, scale),
        joints_3d=np.full((N_PEOPLE, 24, 4), np.nan, np.float32),
        pose=np.full((N_PEOPLE, 72), np.nan, np.float32),
        betas=np.full((N_PEOPLE, 10), np.nan, np.float32),
        packed=lambda row: (images[row], affine),
    )
    return People(state, split)


def _picture(points: np.ndarray) -> np.ndarray:
    image = np.zeros((PACKED_PX, PACKED_PX, 3), np.uint8)
    for index, (x, y) in enumerate(points):
        cv2.circle(image, (round(x), round(y)), 3, (40 + 4 * index, 200 - 3 * index, 120), -1)
    return image


@pytest.fixture(scope="session")
def fitter(stick_body: BodyFile, prior: Mixture) -> Fitter:
    weights = StageWeights(pose=1.0, angle=1.0, shape=1.0)
    params = FittingParams(
        solver="lm",
        n_iterations=4,
        camera="free",
        sigma_px=100.0,
        weights=weights,
        depth_weight=1.0,
        damping=1e-3,
        tolerance=1e-4,
        step_size=1e-2,
        anchor="none",
        anchor_weight=0.0,
        anchor_noise_px=3.0,
        chunk_size=128,
        mean_start=MeanStartParams(
            n_camera_iterations=5,
            damping=1e-3,
            side_view_px=25.0,
            n_stages_both_ways=1,
            stages=[FitStage(pose=1.0, angle=1.0, shape=1.0, n_iterations=5)],
        ),
    )
    return Fitter(stick_body, prior, params)


@pytest.fixture(scope="session")
def train_params() -> TrainParams:
    return TrainParams(
        seed=0,
        n_steps=4,
        batch_size=4,
        learning_rate=1e-3,
        schedule="constant",
        gradient_clip=None,
        initial=InitialWeights(network=None, backbone=None, mean=None),
        mixture=[MixtureGroup(splits=["stick_train"], probability=1.0)],
        augmentation=AugmentationParams(
            flip_probability=0.5, channel_noise=0.4, rotation_deg=30.0, upright_probability=0.6, scale=0.25
        ),
        weights=LossWeights(
            keypoints_2d=5.0,
            openpose=0.0,
            keypoints_3d=5.0,
            pose=1.0,
            shape=1e-3,
            mesh=0.0,
            camera=1.0,
            total=60.0,
        ),
        max_fit_error=100.0,
        max_beta=3.0,
        min_joints=6,
        history_every=2,
        snapshot_every=2,
        checkpoint_every=1,
        device="cpu",
        precision="float32",
        compile=False,
        workers=0,
    )


@pytest.fixture(scope="session")
def first_batch() -> Callable[[TrainingRun, AugmentationParams], Batch]:
    """Makes the first batch of a run, with another augmentation."""

    def make(run: TrainingRun, augmentation: AugmentationParams) -> Batch:
        loader = run.loader
        return make_batch(loader.splits, loader.sampler.samples(0), augmentation, loader.network)

    return make


@pytest.fixture
def make_run(stick_body, prior, people, fitter, train_params, tmp_path) -> Callable[..., TrainingRun]:
    """A new run of a setting; its state lives in `state` of the test's folder."""
    free_fitter = fitter

    def make(
        loop: bool = True,
        params: TrainParams = train_params,
        split: Split = people.split,
        state: str = "state",
        fitter: Fitter = fitter,
        monitor: MonitorParams = NO_MONITOR,
    ) -> TrainingRun:
        sizes = NetworkParams(
            backbone="resnet18",
            width=8,
            head_width=16,
            image_px=32,
            n_iterations=3,
            dropout=0.5,
            compat="none",
        )
        mean = mean_from_prior(prior.means, prior.weights)
        store = FitStore(split.ids, fitter.root_joint)
        plain = torch.from_numpy((split.keypoints - [36.0, 16.0, 0]) / [2, 2, 1]).float()
        fits = free_fitter.fit(BodyState(*(torch.zeros(len(plain), n) for n in (72, 10, 3))), plain)
        first = keep_better(fitter, store.get(split.ids), fits, plain)
        store.put(split.ids, None, first, "initial", 0)
        processes, network = ProcessGroup(), Hmr(sizes, mean, weights_generator(params.seed))
        context = TrainingContext(
            params=params,
            setting=SettingParams(loop=loop, use_3d=False),
            network=TrainableNetwork(network, params, processes),
            joints=JointsOnly(stick_body),
            mesh=None,
            fitter=fitter,
            store=store,
            anchor=AnchorWeights(fitter.params, params.max_fit_error, processes),
        )
        sampler = MixtureSampler({"stick_train": len(split.ids)}, {"stick_train": 1.0}, params.batch_size, 0)
        splits = {"stick_train": split}
        return TrainingRun(
            context=context,
            loader=BatchLoader(splits, sampler, params.augmentation, sizes, processes),
            checkpoint=TrainingCheckpoint(tmp_path / state, MadeFrom({}), "test"),
            history=History(params.history_every),
            monitor=Monitor(tmp_path / state / "monitor", monitor, BodyModel(stick_body)),
        )

    return make
