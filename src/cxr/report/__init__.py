"""Pictures, curves and pages of all that was computed.

In: arrays, metrics.json, maps. Out: PNG, report.html, MODEL_CARD.md. Called by: visualize.py, report.py, every preview.
"""
