"""Raw tables -> one table of films, with who is held out and who is for training.

In: the releases as downloaded (`sources`), lung sets. Out: tables of one schema. Called by: etl 0 to 3 and 6, checks.
"""
