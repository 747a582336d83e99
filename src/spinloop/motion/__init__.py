"""Recorded human motion, and the mixture of poses that is fitted on it.

A body pose is the 69 axis-angle numbers of SMPL's joints 1–23 (radians, no root).
"""
