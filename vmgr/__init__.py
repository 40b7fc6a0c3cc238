"""vmgr: a plugin-based volume manager that reads and writes LVM2's on-disk format.

Importing this package imports nothing else: a command's start-up time is a feature.
Python programs start at :mod:`vmgr.app`; programs that only want the kernel's device
mapper start at :mod:`vmgr.dm`; authors of target plugins start at :mod:`vmgr.core.hooks`.
"""

__version__ = "0.1.0"
