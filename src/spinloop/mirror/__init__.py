"""Mirrors: rendered datasets in the formats of real ones, with their imperfections and true bodies.

World axes: x right, y up, z towards the camera; the floor is y = 0. Camera axes: x right, y down, z away.
Every picture or sequence has its own generator, seeded by (seed, mirror, purpose, number), so that the number
of pictures and the number of processes change none of them.
"""
