#!/bin/sh
# Goes in:  HOST … -- COMMAND: machines that ssh reaches and that share this folder; or under SLURM: srun sh on_machines.sh COMMAND
# Comes out: what COMMAND writes, once: train_Ensemble.sh, train_Efficientnet.sh or src/segmentation/train.py on all machines together.
#
#   sh on_machines.sh node1 node2 -- sh train_Ensemble.sh --params PARAMS.json
#   srun --kill-on-bad-exit=1 sh on_machines.sh sh train_Ensemble.sh
#
# One process a machine, each with all its GPUs, on JAX. `localhost localhost` starts two here, to try it. docs/cluster.md
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)

usage() {
    echo "usage: sh on_machines.sh HOST [HOST …] -- COMMAND [ARGUMENT …]      (under SLURM: srun sh on_machines.sh COMMAND …)" >&2
    exit 2
}

# Under SLURM this script is one of the processes: it only says which.
if [ -n "${SLURM_PROCID:-}" ] && [ -n "${SLURM_NTASKS:-}" ]; then
    [ $# -gt 0 ] || usage
    first=$(scontrol show hostnames "${SLURM_STEP_NODELIST:-$SLURM_JOB_NODELIST}" | head -n 1)
    port=${JOB_PORT:-$((20000 + SLURM_JOB_ID % 10000))}
    unset SLURM_LOCALID # by this JAX would know SLURM, and take a single GPU for each process
    exec env KERAS_BACKEND=jax "KERAS_DISTRIBUTION_JOB_ADDRESSES=$first:$port" \
        "KERAS_DISTRIBUTION_NUM_PROCESSES=$SLURM_NTASKS" "KERAS_DISTRIBUTION_PROCESS_ID=$SLURM_PROCID" "$@"
fi

hosts=
count=0
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    case $1 in
        -*) usage ;;
        '' | *@-* | *[!A-Za-z0-9._@-]*) # what a shell there or ssh here would read as more than a name
            echo "error: HOST $((count + 1)) is no plain name of a machine. Give it one in ~/.ssh/config." >&2
            exit 2
            ;;
    esac
    hosts="$hosts $1"
    count=$((count + 1))
    shift
done
[ "$count" -gt 0 ] && [ $# -gt 1 ] || usage
shift

# The words, each in single quotes: what a shell on the other side reads as the same words.
quoted() {
    for word; do
        printf '%s ' "$(printf '%s\n' "$word" | sed "s/'/'\\\\''/g; 1s/^/'/; \$s/\$/'/")"
    done
}

first=${hosts# }
first=${first%% *}
for host in $hosts; do
    if [ "$first" = localhost ] && [ "$host" != localhost ]; then
        echo "error: $host cannot find \"localhost\". Give this machine by its name: $(uname -n)" >&2
        exit 2
    fi
done
address=${first#*@}:${JOB_PORT:-$((20000 + $$ % 10000))}
. "$here/src/choose_python.sh"
whole=$(command -v "$python") && python=$whole
notes=$(mktemp -d)
mkfifo "$notes/ended"
exec 3<> "$notes/ended"

# Everything that was started, by process group: first asked, then killed. What hangs in a computation does not answer.
stop() {
    trap - EXIT
    trap '' INT TERM HUP # a second Ctrl-C must not leave half of them running
    alive=
    for signal in TERM KILL; do
        for group in "$notes"/group.*; do
            [ -e "$group" ] || continue
            started=$(cat "$group") # which may not have its group yet
            if kill -s "$signal" -- "-$started" 2> /dev/null || kill -s "$signal" "$started" 2> /dev/null; then alive=yes; fi
        done
        if [ "$signal" = TERM ] && [ -n "$alive" ]; then sleep 2; fi
    done
    rm -rf "$notes"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# A command in a process group of its own, so that all of it can be ended. macOS has no setsid.
alone() {
    if command -v setsid > /dev/null; then exec setsid "$@"; fi
    lines="import os, signal, sys; os.setsid(); signal.signal(signal.SIGPIPE, signal.SIG_DFL)"
    exec "$python" -c "$lines; os.execvp(sys.argv[1], sys.argv[1:])" "$@"
}

number=0
for host in $hosts; do
    (
        variables="PYTHONSAFEPATH=1 KERAS_BACKEND=jax KERAS_DISTRIBUTION_JOB_ADDRESSES=$address"
        variables="$variables KERAS_DISTRIBUTION_NUM_PROCESSES=$count KERAS_DISTRIBUTION_PROCESS_ID=$number"
        if [ "$host" = localhost ] || [ "$host" = "$(uname -n)" ]; then
            alone env $variables "PYTHON=$python" "$@" < /dev/null 3>&- &
        else
            # -tt: when ssh ends, so does what it started. stty: no carriage returns in a log.
            line="stty -onlcr 2> /dev/null; cd $(quoted "$PWD") && exec env $variables $(quoted "PYTHON=$python" "$@")"
            alive="-o BatchMode=yes -o ServerAliveInterval=15 -o ServerAliveCountMax=4"
            alone ssh -tt $alive -- "$host" "$line" < /dev/null 3>&- &
        fi
        echo $! > "$notes/group.$number"
        exec 2> /dev/null # the shell's own words on a process that was killed
        status=0
        wait $! || status=$?
        echo "$number $host $status" >&3
    ) &
    number=$((number + 1))
done

while [ "$number" -gt 0 ]; do
    read -r which host status <&3
    if [ "$status" -ne 0 ]; then
        stop
        again="The same command goes on after the last whole epoch."
        case $status in
            6) advice="It was to end. $again" ;;
            2 | 4) advice="Its error stands above." ;; # wrong input, or another run is writing there
            255) advice="ssh did not reach it, or the process there was killed. $again" ;;
            *) advice=$again ;;
        esac
        echo "error: process $which on $host ended with exit status $status; the other processes were stopped. $advice" >&2
        exit "$status"
    fi
    number=$((number - 1))
done
