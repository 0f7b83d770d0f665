"""`python -m lesson.notebooks [NAME …]`: run the notebooks again and store what they show."""

import sys

from lesson.notebooks import store

store(sys.argv[1:])
