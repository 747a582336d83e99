"""Parameters: one strict model per section of `params.yaml`; no value has a default in Python."""
