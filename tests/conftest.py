"""What holds for all tests: one thread for torch.

On networks as small as those of tests a second thread mostly waits for the first, and waits by
counting: the suite took three times the CPU seconds, and ten times on a busy machine. It is set
before torch is imported, and programs that tests start inherit it. To test with threads, run
``OMP_NUM_THREADS=4 pytest``.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
