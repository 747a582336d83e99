"""The numbers of SPIN's camera over a crop; apart, so that reading a dataset need not load torch.

Source:
    SPIN's `constants.py`.
"""

FOCAL_PX = 5000.0
"""Focal length of the crop's camera, the same on both axes."""
CROP_PX = 224.0
"""Side of the crop in which keypoints and cameras are described, whatever size the network sees."""
CENTER_PX = CROP_PX / 2
"""Principal point, the same on both axes."""
