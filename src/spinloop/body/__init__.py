"""The body: its files, its forward pass, its joints, and the free body that needs no licence."""
