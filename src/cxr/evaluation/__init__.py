"""Predictions -> thresholds, calibration, metrics with intervals, comparisons; and the scoring that makes predictions.

In: trained models, packs. Out: predictions.csv, thresholds.json, metrics.json. Called by: evaluate.py.
"""
