"""What holds for all tests."""

import os

# Before torch is imported, and for the programs that tests start. On networks as small as these a
# second thread of torch mostly waits for the first, and it waits by counting: the suite took three
# times the CPU seconds. To test with threads, run OMP_NUM_THREADS=4 pytest.
os.environ.setdefault("OMP_NUM_THREADS", "1")
