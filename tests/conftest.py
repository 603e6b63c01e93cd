"""One thread for torch: the shapes of tests are small, and two threads wait for each other.

On a busy machine that wait made the suite ten times as slow. Set before torch is imported; commands
that tests start inherit it. A test of what threads change sets their number itself.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
