"""Films drawn from a seed, with the truth about them.

In: a seed. Out: films, masks, boxes. Called by: 2_pack_arrays.py of the U-Net, draw_sheets.py, export.py (examples),
train.py of the classifiers.
"""
