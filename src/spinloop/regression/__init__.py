"""The regressor: image → pose, shape and camera."""
