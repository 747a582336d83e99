"""Mirrors: small rendered datasets in the on-disk formats of real ones, with their imperfections and a truth.

World axes: x right, y up, z towards the camera; the floor is y = 0. Camera axes as everywhere: x right, y
down, z away. Every picture has its own generator, seeded by (seed, mirror, index), so that neither the number
of pictures nor the number of workers changes any of them.
"""
