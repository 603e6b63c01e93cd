"""How the C library keeps memory that was freed."""

import ctypes
import sys

# Of <malloc.h> of the GNU C library; mallopt(3) explains them.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
_KEPT = ((_TRIM_THRESHOLD, -1), (_MMAP_MAX, 0), (_TOP_PAD, 64 << 20))


def keep_freed_memory() -> bool:
    """Keeps freed memory in this process for what is allocated next; numbers do not change.

    The GNU C library gives each freed feature map back to the system, which clears its pages when
    the next step asks for them again: up to a tenth of a training step on the CPU. The peak of the
    memory stays nearly the same, but it stays with the process until its end. There is no way back.

    Returns:
        Whether the library was told; others than the GNU C library are left alone.
    """
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return all([mallopt(what, value) == 1 for what, value in _KEPT])
