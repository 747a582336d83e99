"""The pipeline around the stages: the DAG of dvc.yaml, records of runs, checks of the whole configuration."""
