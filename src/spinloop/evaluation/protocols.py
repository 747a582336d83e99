"""Evaluation protocols as named, versioned data.

Every number names its protocol (`pw3d@1`). Any change that can move a number (joints, root, truth, regressor,
alignment, rendering of masks) raises the version; an old version is never edited. `docs/protocols.md` lists
them.
"""

from dataclasses import dataclass
from typing import Literal

from spinloop.errors import UserError
from spinloop.joints import H36M17, PROTOCOL14, PROTOCOL17, SMPL24, JointSet, index_map
from spinloop.params.evaluation import EvaluateParams

Metric = Literal["mpjpe_mm", "pa_mpjpe_mm", "pve_mm", "pck_percent", "auc_percent"]
RigidMetric = Literal["pa_pck_percent", "pa_auc_percent"]
MaskMetric = Literal["mask_accuracy_percent", "mask_f1", "parts_accuracy_percent", "parts_f1"]
Breakdown = Literal["sequence", "scene", "activity"]

PCK_THRESHOLD_MM = 150.0
AUC_THRESHOLDS_MM = tuple(5.0 * step for step in range(31))


@dataclass(frozen=True)
class JointProtocol:
    """How predicted joints of one benchmark are measured."""

    key: str
    """Name of the benchmark, and prefix of its split."""
    version: int
    """Raised by any change that can move a number."""
    joints: JointSet
    """Joints of MPJPE and PA-MPJPE, rows of the H36M regressor by name."""
    truth: Literal["gendered_body", "annotated_joints"]
    """True joints are regressed from the annotated body (of its gender), or annotated themselves."""
    metrics: tuple[Metric | RigidMetric, ...]
    """What is reported."""
    frames: str
    """Which frames count."""
    source: str
    """Where the definition comes from."""
    root: str = "pelvis"
    """Joint at which both sides are aligned before MPJPE and PVE."""
    joint_set: JointSet = H36M17
    """Set whose rows `joints` and `root` are: of the H36M regressor, or SMPL's chain."""
    pck_joints: JointSet = PROTOCOL14
    """Joints of PCK and AUC."""
    breakdowns: tuple[Breakdown, ...] = ("sequence",)
    """Groups for which numbers are also given; those without labels in the data are left out."""

    @property
    def name(self) -> str:
        """Key and version, as stored beside every number."""
        return f"{self.key}@{self.version}"

    @property
    def joint_rows(self) -> tuple[int, ...]:
        """Rows of the joint set that MPJPE and PA-MPJPE use."""
        return index_map(self.joint_set, self.joints)

    @property
    def root_row(self) -> int:
        """Row of the root in the joint set."""
        return self.joint_set.index(self.root)

    @property
    def pck_columns(self) -> tuple[int, ...]:
        """Positions of the PCK joints among this protocol's joints."""
        return index_map(self.joints, self.pck_joints)


@dataclass(frozen=True)
class MaskProtocol:
    """How predicted bodies are rendered and compared, pixel by pixel, with masks of the whole image."""

    key: str
    """Name of the benchmark."""
    version: int
    """Raised by any change that can move a number."""
    drawing: Literal["original", "crop"]
    """`original`: rendered at the image's own resolution; `crop`: rendered at 224 px and enlarged by the
    nearest pixel, as published."""
    frames: str
    """Which images count."""
    source: str
    """Where the definition comes from."""
    metrics: tuple[MaskMetric, ...] = (
        "mask_accuracy_percent",
        "mask_f1",
        "parts_accuracy_percent",
        "parts_f1",
    )
    """What is reported."""
    breakdowns: tuple[Breakdown, ...] = ()
    """Groups for which numbers are also given."""

    @property
    def name(self) -> str:
        """Key and version, as stored beside every number."""
        return f"{self.key}@{self.version}"


AnyProtocol = JointProtocol | MaskProtocol

_H36M_FRAMES = "subjects S9 and S11, every 5th frame"

_ALL = (
    JointProtocol(
        key="pw3d",
        version=1,
        joints=PROTOCOL14,
        truth="gendered_body",
        metrics=("pa_mpjpe_mm", "mpjpe_mm", "pve_mm"),
        frames="test split, frames with a valid camera pose, every annotated person with a visible 2D joint",
        source="SPIN eval.py (dataset 3dpw); PVE over all vertices, aligned at the same pelvis",
    ),
    JointProtocol(
        key="h36m_p1",
        version=1,
        joints=PROTOCOL14,
        truth="annotated_joints",
        metrics=("pa_mpjpe_mm", "mpjpe_mm"),
        frames=f"{_H36M_FRAMES}, all four cameras",
        source="SPIN eval.py (dataset h36m-p1)",
        breakdowns=("activity", "sequence"),
    ),
    JointProtocol(
        key="h36m_p2",
        version=1,
        joints=PROTOCOL14,
        truth="annotated_joints",
        metrics=("pa_mpjpe_mm", "mpjpe_mm"),
        frames=f"{_H36M_FRAMES}, frontal camera 60457274",
        source="SPIN eval.py (dataset h36m-p2)",
        breakdowns=("activity", "sequence"),
    ),
    JointProtocol(
        key="mpi_inf_3dhp",
        version=1,
        joints=PROTOCOL17,
        truth="annotated_joints",
        metrics=(
            "pa_mpjpe_mm",
            "mpjpe_mm",
            "pck_percent",
            "auc_percent",
            "pa_pck_percent",
            "pa_auc_percent",
        ),
        frames="TS1–TS6, valid frames",
        source="SPIN eval.py (MPJPE over 17 joints, root included); MPI-INF-3DHP's test tool (PCK, AUC)",
        breakdowns=("scene", "activity", "sequence"),
    ),
    JointProtocol(
        key="smpl24",
        version=1,
        joints=SMPL24,
        joint_set=SMPL24,
        truth="gendered_body",
        metrics=("pa_mpjpe_mm", "mpjpe_mm"),
        frames="those of the file",
        source="3DPW's challenge: joints of SMPL's chain, aligned at the pelvis",
    ),
    MaskProtocol(
        key="lsp",
        version=1,
        drawing="original",
        frames="LSP images 1001–2000",
        source="SPIN eval.py (dataset lsp), masks rendered sub-pixel at the image's own resolution",
    ),
    MaskProtocol(
        key="lsp_official",
        version=1,
        drawing="crop",
        frames="LSP images 1001–2000",
        source="SPIN eval.py (dataset lsp), masks rendered at 224 px and enlarged by the nearest pixel",
    ),
)

PROTOCOLS: dict[str, AnyProtocol] = {protocol.name: protocol for protocol in _ALL}


def find_protocol(name: str, where: str = "protocol") -> AnyProtocol:
    """The protocol with a full name such as `pw3d@1`.

    Args:
        name: key and version.
        where: where the name stands, for messages.

    Raises:
        UserError: there is no such protocol.
    """
    if name not in PROTOCOLS:
        raise UserError(f"{where}: {name!r} is unknown; choose one of {', '.join(sorted(PROTOCOLS))}")
    return PROTOCOLS[name]


def find_joint_protocol(name: str, where: str = "protocol") -> JointProtocol:
    """The joint protocol with a full name.

    Args:
        name: as in `find_protocol`.
        where: as in `find_protocol`.

    Raises:
        UserError: there is no such protocol, or it measures masks.
    """
    protocol = find_protocol(name, where)
    if isinstance(protocol, MaskProtocol):
        raise UserError(f"{where}: {name!r} measures masks, not joints; choose one that measures joints")
    return protocol


def protocol_of_split(params: EvaluateParams, split: str) -> AnyProtocol:
    """The protocol of a test split.

    Raises:
        UserError: the split has no protocol, or an unknown one.
    """
    return find_protocol(params.protocol_of(split), f"params.yaml: evaluate.splits.{split}")


def protocol_of_dictionary(params: EvaluateParams, split: str) -> JointProtocol:
    """The protocol for the fits of a training split.

    Raises:
        UserError: the split has no protocol, an unknown one, or one that measures masks.
    """
    return find_joint_protocol(
        params.dictionary_protocol(split), f"params.yaml: evaluate.dictionaries.{split}"
    )
