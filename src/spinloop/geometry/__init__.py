"""Rotations, cameras, alignment and crops: pure functions.

Conventions: column vectors, matrices applied from the left, rotations right-handed, angles in radians. The
camera looks along +z with x right and y down (as OpenCV's). Lengths are metres, image coordinates pixels with
the origin at the top left corner of the top left pixel.
"""
