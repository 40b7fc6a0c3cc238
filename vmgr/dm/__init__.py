"""The kernel's device mapper, usable as a library on its own.

Importing this package imports nothing else. Programs start at :class:`vmgr.dm.client.DmClient`. The layer
below it (:mod:`~vmgr.dm.abi`, :mod:`~vmgr.dm.wire`, :mod:`~vmgr.dm.kernel`) is the bare ioctl interface.
:class:`vmgr.testing.fake_kernel.FakeKernel` replaces the kernel in tests and dry runs.
"""
