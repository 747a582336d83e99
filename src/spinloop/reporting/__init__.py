"""Tables, charts, figures and pages of the report.

A table is defined once (`tables.Table`) and written as Markdown, LaTeX, CSV and HTML. Published numbers are
data (`reports/published.yaml`), each with a source, and never share an unmarked column with measured ones.
The same inputs give the same bytes.
"""
