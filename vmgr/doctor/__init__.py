"""Examination of the machine for all that the device mapper and vmgr need: findings as values, and repairs.

One module a subject, each with two halves: ``gather`` reads files below roots that are parameters and changes
nothing, ``check`` turns what was read into findings and is pure. :mod:`vmgr.doctor.examine` runs them,
:mod:`vmgr.doctor.repair` is the only one that changes anything.
"""
