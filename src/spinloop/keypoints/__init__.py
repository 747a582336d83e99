"""2D keypoints: what detectors report in their own formats, matched with and merged into annotations."""
