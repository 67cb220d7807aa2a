#!/bin/sh
# Goes in:  the name of an experiment (protocols, hospitals, masking, labels); films and tables as for prepare_data.sh.
# Comes out: every variant trained with every seed, and their table, in MODELS_DIR/experiments/; an interrupted one goes on.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
. "$here/src/environment.sh"
before='' scheduler=''
for word
do
    [ "$before" != --scheduler ] || scheduler=$word
    case $word in
        -h | --help) exec "$python" "$here/src/experiments/table.py" --help ;;
        --scheduler=*) scheduler=${word#*=} ;;
    esac
    before=$word
done
with_its_files() {
    "$@" --settings "$run/SETTINGS.json" --params "$run/PARAMS.json" ${scheduler:+--scheduler "$scheduler"}
}
while :
do
    "$python" "$here/src/experiments/table.py" "$@"
    export CXR_TOLD=yes # what is of all steps is told by the first
    run=$("$python" "$here/src/experiments/next_run.py" "$@")
    [ -n "$run" ] || break
    with_its_files sh "$here/prepare_data.sh"
    with_its_files "$python" "$here/src/classification/train/train.py" ensemble
    with_its_files "$python" "$here/src/classification/eval/evaluate.py" ensemble
done
