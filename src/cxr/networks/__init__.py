"""Networks and what runs them: backend, classifiers, U-Net, batches; probabilities and maps.

In: packed films. Out: saved models, probabilities, masks, maps. Called by: train.py, evaluate.py, predict.py, etl 4.
"""
