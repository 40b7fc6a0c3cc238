"""Is everything there that the device mapper and vmgr need? Findings as values, and what mends them.

One module a subject, each with two halves: ``gather`` reads files below roots that are parameters and changes
nothing, ``check`` turns what was read into findings and is pure. :mod:`vmgr.doctor.examine` runs them,
:mod:`vmgr.doctor.repair` is the only one that changes anything.
"""
