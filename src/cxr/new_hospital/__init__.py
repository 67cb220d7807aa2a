"""Does a model hold at a new hospital, what must be set anew there, and what may be promised.

In: probabilities and labels there, thresholds and calibration as they came. Out: tables for one report.
Called by: external.py, check_split.py, score_predictions.py, evaluate.py, report.py, flips.py, suspicious.py,
stress.py, predict.py.
"""
