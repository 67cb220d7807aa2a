"""Drawn films in the layout of the real releases, with their labels, boxes and masks.

In: counts of films, a seed. Out: films, tables and lists as users download them. Called by: draw_films.py.
"""
