"""What the scripts of the chest X-ray pipeline share: a room a stage, a module a concern; importing one does nothing.

But for what two libraries read when they are loaded. OpenCV: a file that unpacks to more pixels is refused by its
header; what is wrong with a broken one, we say. Matplotlib: no window is opened, and a notebook's setting, which our
processes inherit, would stop its import (googlecolab/colabtools issue 5148). And for what a script says on Ctrl-C while
it imports, which takes seconds: `core.command_line.run` is not there yet.
"""

import os
import sys

os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(100_000_000))
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
os.environ["MPLBACKEND"] = "agg"


def _say_interrupted(kind, error, trace, otherwise=sys.excepthook):
    interrupted = isinstance(error, KeyboardInterrupt) or isinstance(error.__context__, KeyboardInterrupt)
    if interrupted and hasattr(sys.modules["__main__"], "__file__") and "--debug" not in sys.argv[1:]:
        sys.stderr.write("error: interrupted. The same command goes on where it stopped.\n")
    else:
        otherwise(kind, error, trace)


sys.excepthook = _say_interrupted
