"""Packed films and labels -> trained networks, by one loop that goes on where it stopped.

In: packs, split.csv. Out: model.keras, log.csv, run.json. Called by: train.py of both networks.
"""
