"""Operations: each turns a group and a request into a :class:`~vmgr.core.change.Change`, purely.

One file for each kind; callers import the function that they need from its file, so that a command loads no more
than it uses. Every operation first checks that the group may be changed and asks the target plugins
concerned, and ends in :func:`vmgr.core.validate.require_valid`. ``seqno`` is left alone: whoever
commits a change counts it up.
"""
