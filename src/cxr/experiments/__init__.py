"""What is compared with what: variants and seeds as runs of the usual scripts, and their tables.

In: prepared data, evaluated families. Out: a folder a run, tables of results. Called by: next_run.py, table.py,
compare.py.
"""
