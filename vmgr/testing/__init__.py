"""What stands in for a kernel and disks in tests, and checks of a target plugin against the contract.

:mod:`vmgr.testing.fake_kernel` answers the device mapper's ioctls from memory, :mod:`vmgr.testing.memory_disk` is a
disk. Nothing here is loaded by an ordinary command.
"""
