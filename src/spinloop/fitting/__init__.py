"""Bodies fitted to 2D keypoints: objective, priors, solvers, and where the best fits are kept."""
