"""Examination of the machine for all that the device mapper and vmgr need: findings as values, and repairs.

Each subject is a module with two functions: ``gather`` reads files below the given roots and changes
nothing; ``check`` is pure and turns what was read into findings. :mod:`vmgr.doctor.examine` runs the subjects.
:mod:`vmgr.doctor.repair` is the only module that changes anything.
"""
