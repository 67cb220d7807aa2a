#!/bin/sh
# Goes in:  nothing; synthetic films are drawn from a seed. --quick: few films, small networks, figures that mean nothing.
# Comes out: the whole pipeline's results on them, in demo/ (or demo/quick/). A second call reuses what is up to date.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
case "$*" in
    '') demo=demo ;;
    --quick) demo=demo/quick ;;
    *)
        echo "usage: bash run_demo.sh [--quick]" >&2
        exit 2
        ;;
esac
. "$here/src/install.sh"
set -- --settings "$here/$demo/SETTINGS.json" --params "$here/$demo/PARAMS.json"
data=$demo/data/classification models=$demo/models/classification
started=$(date +%s) number=0

if [ "$demo" = demo/quick ]; then
    echo "The quick demo: few films, small networks, hardly trained. It shows every picture and page. ITS FIGURES MEAN NOTHING."
    echo "Nine parts, four and a half minutes of computing on one core of an AMD EPYC (2026-11-27), so less where two are free."
else
    cat <<END
The demo in nine parts, and minutes of each on two free cores of an AMD EPYC (2026-11-28; docs/demo.md):
  1 drawing films        1      4 evaluation, Ensemble    3      7 evaluation, Efficientnet  1
  2 preparation          2      5 maps, Ensemble          2      8 maps, Efficientnet        1
  3 training, Ensemble  14      6 training, Efficientnet  5      9 thumbnails                0
A look at every picture and page in less than five minutes: bash run_demo.sh --quick
END
fi

# part TITLE FILES COMMAND ...: does it, and says how long it took and what can be looked at from then on.
part() {
    number=$((number + 1)) title=$1 files=$2 begun=$(date +%s)
    shift 2
    printf '\n== Part %s of 9: %s\n' "$number" "$title"
    "$@"
    echo "== Part $number took $(($(date +%s) - begun)) s. Look at: $files"
}
part "drawing films" "$demo/data/raw/" python "$here/demo/draw_films.py" "$@"
part "preparation" "$data/preview_masks.png" sh "$here/prepare_data.sh" "$@"
for family in Ensemble Efficientnet; do
    results=$models/$(echo $family | tr E e)
    part "training, $family" "$results/*/curves.png" sh "$here/train_$family.sh" "$@"
    part "evaluation, $family" "$results/report.html, roc.png, result.csv" sh "$here/evaluate_$family.sh" "$@"
    part "maps, $family" "$results/gradcam/overview_*.png, report.html with maps" sh "$here/visualization_$family.sh" "$@"
done
part "thumbnails" "the table above: how far one gets without looking closely" python "$here/demo/thumbnail_baseline.py" "$@"

cat <<END

Done in $(($(date +%s) - started)) s. Look at these four pictures, in this order:
  1. Do the outlines hold both lungs?            $data/preview_masks.png
  2. Did each network learn?                     $models/ensemble/*/curves.png
  3. How far are the curves from the diagonal?   $models/ensemble/roc.png, roc_*.png of each hospital
  4. Does the heat lie on the finding?           $models/ensemble/gradcam/overview_*.png; green: the known boxes
All of it on one page: $models/ensemble/report.html. EfficientNet's: $models/efficientnet/.
END
[ "$demo" = demo ] || echo "The quick demo's figures mean nothing."
