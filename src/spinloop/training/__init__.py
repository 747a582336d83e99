"""The loop: a network learns from fits that start from its own estimates (SPIN, Figure 2)."""
