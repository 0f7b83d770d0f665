"""What people open: the command line and the page."""

import os

# Products of a cell's size are too small to share: threads of the BLAS would mostly wait for one
# another, and where another program runs, for long. NumPy reads this when it is first imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
