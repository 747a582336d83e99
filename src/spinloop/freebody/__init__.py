"""The free body: Anny's bodies (Apache-2.0 code, CC0 data) in SMPL's array shapes.

The way from one to the other: draw adults (`population`), let Anny shape them (`source`), bring them to the
T-pose (`tpose`), close eyes and mouth (`surface`), thin the mesh (`decimation`), number its vertices as
SMPL's users expect (`numbering`), and describe what varies (`shape_space`), where the joints are
(`regressors`, `landmarks`), what moves what and which part is which (`skeleton`), and how limbs stay round
when they bend (`pose_shapes`). `build` and `assemble` put these steps together, `report` measures the result.

Convention: SMPL's rest frame, metres, y up, the body facing +z, its left arm towards +x. Left and right are
exact mirror images in x = 0.
"""
