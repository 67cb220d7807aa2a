"""Stored maps -> heatmaps, detections in pixels of the film, and their scores against known boxes.

In: cams*.npy beside predictions. Out: heatmaps, detections.csv, map_scores.csv, detection_scores.csv,
faithfulness.csv.
Called by: visualize.py, score_maps.py.
"""
