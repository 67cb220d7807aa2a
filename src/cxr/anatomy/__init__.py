"""Lungs and heart as outlined in a film: clean masks, what speaks against one, the cardiothoracic ratio.

In: masks as people draw them, or a U-Net's probabilities. Out: masks and widths. Called by: src/segmentation,
4_mask_lungs.py, 5_pack_arrays.py, predict.py.
"""
