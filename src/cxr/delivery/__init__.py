"""Predictions of new films handed to other programs: DICOM objects, answers over HTTP.

In: films, a bundle, what `new_films` predicts. Out: Secondary Captures and reports, rows of predictions.csv.
Called by: predict.py, serve.py.
"""
