"""What lies on a volume (a file system, swap, an encrypted container) and how it follows the volume's size.

:func:`vmgr.contents.examine.examine` says what is there. It gives a value that knows its size, and makes a
:class:`~vmgr.contents.job.Job` for another one: everything that could stand in the way is looked for while the
job is made, before anything is changed. One module a kind. The file systems' own programs do the work.
"""
