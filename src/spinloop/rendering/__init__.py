"""Pictures of meshes on the CPU: what each pixel sees, shading, overlays on photographs."""
