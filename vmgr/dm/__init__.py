"""The kernel's device mapper, usable as a library on its own.

Importing this package imports nothing else. Programs start at :class:`vmgr.dm.client.DmClient`; what
is below it (:mod:`~vmgr.dm.abi`, :mod:`~vmgr.dm.wire`, :mod:`~vmgr.dm.kernel`) is the ioctl interface as
it is, and :class:`vmgr.dm.fake.FakeKernel` stands in for the kernel in tests and dry runs.
"""
