"""Rotations, cameras, Procrustes alignment and crops: pure functions.

Conventions: column vectors, matrices applied from the left, right-handed rotations, angles in radians. The
camera looks along +z with x right and y down (as OpenCV's). Lengths are in metres, image coordinates in
pixels with the origin at the top left corner of the top left pixel.
"""
