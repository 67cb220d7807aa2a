"""Anybody's predictions and outlines -> tables of ours, so that all that follows is the same evaluation.

In: CSV files of any column names, JSON files of outlines. Out: predictions tables, scores of outlines.
Called by: score_predictions.py, score_outlines.py.
"""
