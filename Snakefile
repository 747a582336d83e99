"""The pipeline of dvc.yaml through Snakemake: `snakemake` runs what is not up to date, several stages at once.

dvc.yaml is the only description of the pipeline; nothing is listed here. See workflow/README.md.
"""

from snakemake.utils import min_version

min_version("9.27")


include: "workflow/rules/stages.smk"


rule all:
    default_target: True
    input:
        [path for stage in STAGES for path in stage.files + stage.folders],
