"""The built-in target plugins, one folder each.

Each is registered through the entry-point group ``vmgr.targets`` as a stranger's would be, imports
:mod:`vmgr.core` only, and is named nowhere outside of its folder.
"""
