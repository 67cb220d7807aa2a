"""Anybody's predictions and labels -> a predictions table of ours, so that all that follows is the same evaluation.

In: CSV files of any column names. Out: predictions tables. Called by: score_predictions.py.
"""
