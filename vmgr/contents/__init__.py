"""The content of a volume (a file system, swap, an encrypted container) and its resizing with the volume.

:func:`vmgr.contents.examine.examine` recognises the content and returns a value with its size. That value makes a
:class:`~vmgr.contents.job.Job` for another size. All checks happen while the
job is made, before anything is changed. Each kind has a module. The file systems' own programs do the work.
"""
