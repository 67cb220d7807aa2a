"""What the scripts of the chest X-ray pipeline share: a room a stage, a module a concern; importing one does nothing.

But for what two libraries read when they are loaded. OpenCV: a file that unpacks to more pixels is refused by its
header; what is wrong with a broken one, we say. Matplotlib: no window is opened, and a notebook's setting, which our
processes inherit, would stop its import (googlecolab/colabtools issue 5148).
"""

import os

os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(100_000_000))
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
os.environ["MPLBACKEND"] = "agg"
