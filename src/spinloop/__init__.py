"""SPIN, human pose and shape by model fitting in the loop, as a reproducible pipeline."""
