"""The free body: Anny's bodies (Apache-2.0 code, CC0 data) in SMPL's array shapes.

The way from one to the other: draw adults (`population`), let Anny shape them (`source`), bring them to the
T-pose (`tpose`), close eyes and mouth (`surface`), thin the mesh (`decimation`, `relaxation`), number its
vertices as SMPL's users expect (`numbering`), and describe what varies (`shape_space`), where the joints are
(`regressors`) and which part is which (`parts`). `build` puts these steps together.

Convention: SMPL's rest frame, metres, y up, the body facing +z, its left arm towards +x. Left and right are
exact mirror images in x = 0.
"""
