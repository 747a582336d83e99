"""Protocols are the published ones, and cannot be changed."""

import dataclasses

import pytest

from spinloop.errors import UserError
from spinloop.evaluation.protocols import (
    AUC_THRESHOLDS_MM,
    PROTOCOLS,
    JointProtocol,
    find_joint_protocol,
    find_protocol,
)
from spinloop.joints import H36M_TO_J14, H36M_TO_J17

JOINT_PROTOCOLS = sorted(name for name, protocol in PROTOCOLS.items() if isinstance(protocol, JointProtocol))


def test_joint_rows_are_the_published_ones():
    assert (
        find_joint_protocol("pw3d@1").joint_rows
        == H36M_TO_J14
        == (6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10)
    )
    assert find_joint_protocol("mpi_inf_3dhp@1").joint_rows == H36M_TO_J17
    assert find_joint_protocol("mpi_inf_3dhp@1").pck_columns == tuple(range(14))
    assert AUC_THRESHOLDS_MM == tuple(range(0, 151, 5))


def test_protocols_cannot_be_changed(monkeypatch):
    with pytest.raises(dataclasses.FrozenInstanceError):
        monkeypatch.setattr(find_protocol("pw3d@1"), "version", 2)


def test_an_unknown_protocol_is_refused_with_the_known_ones():
    with pytest.raises(
        UserError,
        match=r"3dpw@1.*unknown.*h36m_p1@1, h36m_p2@1, lsp@1, lsp_official@1, mpi_inf_3dhp@1, pw3d@1",
    ):
        find_protocol("3dpw@1")


def test_a_protocol_for_masks_is_not_one_for_joints():
    with pytest.raises(UserError, match="'lsp@1' measures masks, not joints"):
        find_joint_protocol("lsp@1")


def test_the_documentation_lists_every_protocol(repository):
    text = (repository / "docs" / "protocols.md").read_text(encoding="utf-8")
    for name in JOINT_PROTOCOLS:
        protocol = find_joint_protocol(name)
        assert f"| `{name}` | {len(protocol.joints)} | {protocol.root} |" in text
    for name in set(PROTOCOLS) - set(JOINT_PROTOCOLS):
        assert f"| `{name}` | " in text
