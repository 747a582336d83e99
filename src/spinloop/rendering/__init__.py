"""Meshes rendered on the CPU: ray casting, shading, part labels, overlays on photographs."""
