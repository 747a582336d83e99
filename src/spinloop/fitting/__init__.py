"""Bodies fitted to 2D keypoints: objective, solvers, starts, and fits of whole splits."""
