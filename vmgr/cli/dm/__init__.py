"""``vmgr dm``: the device mapper's own commands, as dmsetup has them. One module a family of subcommands.

Nothing in this package knows of volume groups or plugins: it turns words into calls of :mod:`vmgr.dm` and values
into text. :mod:`.registry` names the subcommands, :mod:`.command` runs one, :mod:`.context` opens the kernel.
"""
