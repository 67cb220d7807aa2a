#!/bin/sh
# Goes in:  the name of an experiment (protocols, hospitals, masking, labels, drawn); films and tables as for prepare_data.sh.
# Comes out: every variant trained with every seed, and their table, in MODELS_DIR/experiments/; an interrupted one goes on.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
. "$here/src/environment.sh"
before='' scheduler='' settings='' params='' script=table.py help=''
for word
do
    case $before in
        --scheduler) scheduler=$word ;;
        --settings) settings=$word ;;
        --params) params=$word ;;
    esac
    case $word in
        -h | --help) help=yes ;;
        --scheduler=*) scheduler=${word#*=} ;;
        --settings=*) settings=${word#*=} ;;
        --params=*) params=${word#*=} ;;
        drawn) [ "$before" = --out ] || script=drawn.py ;;
    esac
    before=$word
done
[ -z "$help" ] || exec "$python" "$here/src/experiments/$script" --help
with_files() {
    "$@" ${settings:+--settings "$settings"} ${params:+--params "$params"} ${scheduler:+--scheduler "$scheduler"}
}
if [ "$script" = drawn.py ]; then
    with_files sh "$here/prepare_data.sh"
    exec "$python" "$here/src/experiments/drawn.py" "$@"
fi
while :
do
    "$python" "$here/src/experiments/table.py" "$@"
    export CXR_TOLD=yes # what is of all steps is told by the first
    run=$("$python" "$here/src/experiments/next_run.py" "$@")
    [ -n "$run" ] || break
    settings=$run/SETTINGS.json params=$run/PARAMS.json
    with_files sh "$here/prepare_data.sh"
    with_files "$python" "$here/src/classification/train/train.py" ensemble
    with_files "$python" "$here/src/classification/eval/evaluate.py" ensemble
done
