#!/bin/sh
# Goes in:  NIH and/or CheXpert films and tables, lung films with masks if any, as SETTINGS.json says. Only read.
# Comes out: tables, U-Net, lung masks, packed films and the split, under DATA_DIR and MODELS_DIR; --dry-run: only the plan.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
. "$here/src/environment.sh"

for argument in "$@"
do
    if [ "$argument" = --dry-run ]; then exec "$python" "$here/src/checks/plan_preparation.py" "$@"; fi
done
for step in 0_nih_table.py 1_chexpert_table.py 1_other_tables.py 2_merge_tables.py 3_hold_out_test.py
do
    "$python" "$here/src/classification/etl/$step" "$@"
    export CXR_TOLD=yes # what is of all steps is told by the first
done
for step in etl/0_pair_masks.py etl/1_split_patients.py etl/2_pack_arrays.py train.py evaluate.py
do
    "$python" "$here/src/segmentation/$step" --if-missing "$@"
done
for step in 4_mask_lungs.py 5_pack_arrays.py 6_split_train_val.py
do
    "$python" "$here/src/classification/etl/$step" "$@"
done
