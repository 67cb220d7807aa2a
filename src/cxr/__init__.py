"""What the scripts of the chest X-ray pipeline share: a room a stage, a module a concern; importing one does nothing.

But for one limit, which OpenCV reads when it is loaded: a file that unpacks to more pixels is refused by its header.
"""

import os

os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(100_000_000))
