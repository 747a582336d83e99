"""Tables, figures and pages of the report.

A table is defined once (`table.Table`) and written as Markdown, LaTeX, CSV and HTML. Published numbers are
data (`reports/published.yaml`) with a source each and never share an unmarked column with measured ones. The
same inputs give the same bytes.
"""
