"""What every room stands on: findings, both JSON files, artifacts and steps, locks, workers, the command line.

In: SETTINGS.json, PARAMS.json, arguments. Out: checked parameters, files that are whole. Called by: every script.
"""
