"""The free body: Anny's bodies (Apache-2.0 code, CC0 data) as SMPL-format bodies.

`build` runs the steps: sample adults (`population`), shape and pose them with Anny (`anny`), close the skin
at eyes and mouth (`surface`), decimate it to 6890 vertices (`decimation`), regress joints from these
(`joints`), and make skinning weights and pose blend shapes (`rigging`). `report` compares the result with
published figures.

Frame: that of SMPL's T-pose, metres, y up, the body faces +z, its left arm points to +x. Bodies are exactly
symmetric in x = 0; `flip` arrays hold, for each vertex or bone, the index of its counterpart on the other
side of the body (its own on the midline).
"""
