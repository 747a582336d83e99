"""The stages of the pipeline: files in, calls, files out; one module for each command."""
