#!/bin/sh
# Goes in:  nothing; synthetic films are drawn from a seed.
# Comes out: the whole pipeline's results on them, under demo/data and demo/models. A second call reuses what is up to date.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
. "$here/src/install.sh"
set -- --settings "$here/demo/SETTINGS.json" --params "$here/demo/PARAMS.json"
started=$(date +%s)

python "$here/demo/draw_films.py" "$@"
sh "$here/prepare_data.sh" "$@"
for family in Ensemble Efficientnet; do
    sh "$here/train_$family.sh" "$@"
    sh "$here/evaluate_$family.sh" "$@"
    sh "$here/visualization_$family.sh" "$@"
done
python "$here/demo/thumbnail_baseline.py" "$@"

cat <<END

Done in $(($(date +%s) - started)) s. Look at:
  demo/models/classification/ensemble/result.csv                 the result table
  demo/models/classification/ensemble/roc.png                    curves (and precision_recall.png)
  demo/models/classification/ensemble/gradcam/                   Grad-CAM overlays, an overview a finding
  demo/models/classification/efficientnet/                       the same for EfficientNet
  demo/models/segmentation/Unet/evaluation/worst.png             the ten worst lung masks
  demo/data/classification/preview_masks.png                     lung masks of 16 films
END
