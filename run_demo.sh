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
    echo "The quick demo: few films, small networks, hardly trained. ITS FIGURES MEAN NOTHING; it shows every picture and page."
    echo "Nine parts, @ minutes of computing together on one core of an AMD EPYC, less on two."
else
    cat <<END
The demo in nine parts, with minutes on two cores of an AMD EPYC (docs/demo.md says how they were measured):
  1 films are drawn  @          4 evaluation of the ensemble  @      7 evaluation of EfficientNet  @
  2 preparation  @              5 its maps  @                        8 its maps  @
  3 training of the ensemble  @ 6 training of EfficientNet  @        9 thumbnails  @
For a first look in less than five minutes: bash run_demo.sh --quick
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
part "films are drawn" "$demo/data/raw/" python "$here/demo/draw_films.py" "$@"
part "preparation" "$data/preview_masks.png" sh "$here/prepare_data.sh" "$@"
for family in Ensemble Efficientnet; do
    results=$models/$(echo $family | tr E e)
    part "training, $family" "$results/*/curves.png" sh "$here/train_$family.sh" "$@"
    part "evaluation, $family" "$results/report.html, roc.png, result.csv" sh "$here/evaluate_$family.sh" "$@"
    part "maps, $family" "$results/gradcam/overview_*.png, report.html with maps" sh "$here/visualization_$family.sh" "$@"
done
part "thumbnails, for comparison" "the table above" python "$here/demo/thumbnail_baseline.py" "$@"

cat <<END

Done in $(($(date +%s) - started)) s. Look at these four, in this order:
  $data/preview_masks.png       does the outline hold both lungs?
  $models/ensemble/roc.png      curves: how far from the diagonal?
  $models/ensemble/gradcam/     overview_<finding>.png: heat and boxes, beside the known ones
  $models/ensemble/report.html  all of it on one page
The same of EfficientNet: $models/efficientnet/; the worst lung masks: $demo/models/segmentation/Unet/evaluation/worst.png
END
