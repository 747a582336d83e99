"""2D keypoints lifted to 3D: a start for the offline fits.

A small network after Martinez et al. (A simple yet effective baseline for 3D human pose estimation, ICCV
2017) that predicts a posed body and its camera instead of joints, and is trained on simulated people only.
"""
