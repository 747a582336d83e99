"""2D keypoints lifted to 3D: where the offline fits may start.

A small network after Martinez et al. (A simple yet effective baseline for 3D human pose estimation, ICCV
2017), which answers with a posed body and its camera instead of joints, and is trained on drawn people only.
"""
