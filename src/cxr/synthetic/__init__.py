"""Films drawn from a seed, with the truth about them, in the layout of the real releases.

In: a seed. Out: films, masks, boxes, labels. Called by: draw_films.py, export.py (examples of a bundle).
"""
