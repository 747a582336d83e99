"""What people annotated and detectors found: every source's own format to one record."""
