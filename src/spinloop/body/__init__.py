"""An SMPL-format body: its files, forward pass, joints and poses."""
