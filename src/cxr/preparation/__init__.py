"""Films on disk -> lung masks -> packed arrays, film by film and by many workers.

In: images.csv and its films. Out: packs with each film's affine, read again by `films`. Called by: etl 2, 4 and 5.
"""
