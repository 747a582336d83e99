"""From 2D keypoints to a pose: the start of a fit that a network learnt."""
