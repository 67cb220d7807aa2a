"""New films -> probabilities, decisions and pages; and bundles, which carry a family to another machine.

In: any films, a family or a bundle. Out: predictions.csv, report.html, bundles. Called by: predict.py, export.py,
serve.py.
"""
