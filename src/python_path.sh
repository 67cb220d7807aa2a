# Sourced by choose_python.sh and install.sh, with $here set: Python finds modules of its own, ours, and those that
# PYTHONPATH names by whole paths; never the current folder's (python -c and -m would look there first), which may hold
# somebody's types.py.
PYTHONSAFEPATH=1
others=${PYTHONPATH:-}
PYTHONPATH=$here/src
while [ -n "$others" ]; do
    one=${others%%:*} # "." and an empty one, as "$PYTHONPATH:/more" gives where nothing was set, are the current folder
    case $one in "$here/src") ;; /*) PYTHONPATH=$PYTHONPATH:$one ;; esac
    case $others in *:*) others=${others#*:} ;; *) others='' ;; esac
done
export PYTHONSAFEPATH PYTHONPATH
