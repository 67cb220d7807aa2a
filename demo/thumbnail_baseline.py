"""How far one gets without looking closely: logistic regression on 16x16 thumbnails, age, sex, view and source.

Reads   DATA_DIR/classification/images.csv, split.csv, images_<size>.npy, the films; metrics.json of the ensemble
Writes  nothing; prints its AUROC on test beside the ensemble's: on thumbnails of whole films, and of films as packed
        (where the U-Net has already brought the lungs into place). Whole films above .85 in the mean would be too easy.
"""

import functools
import json
import sys

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/src")  # this project's cxr, whatever is installed

from cxr.core import command_line  # first: from here on Ctrl-C is one line

# isort: split
import cv2
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cxr.core import executors
from cxr.core.artifacts import need
from cxr.core.findings import FINDINGS
from cxr.evaluation import metrics
from cxr.preparation import reading
from cxr.preparation.films import load_films
from cxr.tables import schema
from cxr.tables.sources.catalogue import film_paths

SIDE = 16  # pixels of a thumbnail


def main(argv=None):
    settings, params = command_line.load(command_line.parser(__doc__).parse_args(argv))
    ensemble = json.loads(need(settings.family_dir("ensemble") / "metrics.json", "evaluate_Ensemble.sh").read_text())
    films, pack = load_films(settings, params, params.pack_sizes()[0])
    paths = film_paths(settings, films)
    read = functools.partial(reading.try_square, size=SIDE, fit=params.pack.fit)
    whole = [film for film, _ in executors.by_processes(read, paths, executors.process_count(params.general.workers))]
    packed = [cv2.resize(film, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for film in pack]
    known_before = pd.get_dummies(films[["sex", "view", "source"]]).to_numpy(float)
    age = films["age"].astype(float).fillna(films["age"].astype(float).median()).to_numpy()[:, None]
    truth = schema.label_array(films, FINDINGS)
    train, test = ((films["split"] == name).to_numpy() for name in ("train", "test"))
    columns = {"ensemble": [ensemble["findings"][finding]["auroc"] for finding in FINDINGS]}
    for name, thumbnails in (("whole film", whole), ("as packed", packed)):
        seen = np.hstack([np.stack(thumbnails).reshape(len(films), -1), known_before, age])
        columns[name] = [auroc_of_regression(seen, labels, train, test) for labels in truth.T]
    table = pd.DataFrame(columns, index=list(FINDINGS), dtype=float)
    table.loc["mean"] = table.mean()
    print("AUROC on test: the ensemble, and a logistic regression on thumbnails of")
    print(table.round(3).to_string(na_rep="n/a"))


def auroc_of_regression(seen, labels, train, test):
    """AUROC on test of one finding's labels (N,) from what is seen (N, columns); NaN where it is not defined."""
    known = ~np.isnan(labels)
    if len(np.unique(labels[known & train])) < 2:
        return float("nan")
    regression = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
    probability = regression.fit(seen[known & train], labels[known & train]).predict_proba(seen[test])[:, [1]]
    return metrics.mean_auroc(labels[test][:, None], probability)


if __name__ == "__main__":
    command_line.run(main)
