"""All that is peculiar to a source of films and labels: where it lies, how it is read, what its labels mean.

In: a release as downloaded, or a table of the user's own. Out: `Release`s of one schema. Called by: etl 0 to 3, checks.
"""
