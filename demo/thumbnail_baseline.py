"""How far one gets without looking closely: logistic regression on 16x16 thumbnails, age, sex, view and source.

Reads   DATA_DIR/classification/images.csv, split.csv, images_<size>.npy; metrics.json of the ensemble
Writes  nothing; prints its AUROC on test beside the ensemble's. Above .85 in the mean the synthetic films are too easy.
"""

import json

import cv2
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cxr import config, metrics, tables
from cxr.artifacts import need
from cxr.films import load_films
from cxr.labels import FINDINGS


def main(argv=None):
    settings, params = config.load(config.parser(__doc__).parse_args(argv))
    films, pack = load_films(settings, params, params.pack_sizes()[0])
    truth = tables.label_array(films)
    thumbnails = np.stack([cv2.resize(film, (16, 16), interpolation=cv2.INTER_AREA).ravel() for film in pack])
    known_before = pd.get_dummies(films[["sex", "view", "source"]]).to_numpy(float)
    age = films["age"].astype(float).fillna(films["age"].astype(float).median()).to_numpy()[:, None]
    seen = np.hstack([thumbnails, known_before, age])
    train, test = ((films["split"] == name).to_numpy() for name in ("train", "test"))
    probabilities = np.full(truth.shape, 0.5)
    for place in range(len(FINDINGS)):
        known = train & ~np.isnan(truth[:, place])
        regression = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
        probabilities[:, place] = regression.fit(seen[known], truth[known, place]).predict_proba(seen)[:, 1]
    ensemble = json.loads(need(settings.family_dir("ensemble") / "metrics.json", "evaluate_Ensemble.sh").read_text())
    print(f"{'AUROC on test':<16} {'ensemble':>9} {'thumbnail':>10}")
    for place, finding in enumerate(FINDINGS):
        baseline = metrics.mean_auroc(truth[test][:, [place]], probabilities[test][:, [place]])
        print(f"{finding:<16} {ensemble['findings'][finding]['auroc'] or float('nan'):>9.3f} {baseline:>10.3f}")
    mean = metrics.mean_auroc(truth[test], probabilities[test])
    print(f"{'mean':<16} {ensemble['macro']['auroc'] or float('nan'):>9.3f} {mean:>10.3f}")


if __name__ == "__main__":
    config.run(main)
