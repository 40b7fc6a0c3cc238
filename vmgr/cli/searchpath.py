"""Where Python looks for code once vmgr runs: neither the caller's PYTHONPATH nor the current directory decide.

An interpreter without ``-I`` has put those in front by the time any line of vmgr runs; what it imported till then
cannot be undone. Plugins are imported later, so they can be kept from there.
"""

from __future__ import annotations

import os
import sys


def forget_callers_places() -> None:
    """Take out of ``sys.path`` what the caller put in: PYTHONPATH, the current directory, the script's own.

    As root also the user's site directory, unless it and all above it are root's. Where packages are installed
    stays, even if PYTHONPATH names it too.
    """
    if sys.flags.isolated:
        return
    import site

    installed = {os.path.abspath(place) for place in site.getsitepackages()}
    dropped = {os.path.abspath(place) for place in os.environ.get("PYTHONPATH", "").split(os.pathsep)}
    dropped.add(os.path.abspath(""))
    if not sys.flags.safe_path and sys.path and not os.path.isfile(sys.path[0]):  # a file: vmgr runs from it
        dropped.add(os.path.abspath(sys.path[0]))
    if site.ENABLE_USER_SITE:
        own = os.path.abspath(site.getusersitepackages())
        if os.geteuid() == 0:
            from vmgr.system.ownership import changeable_by_others

            if changeable_by_others(own):
                dropped.add(own)
            else:
                installed.add(own)
        else:
            installed.add(own)
    library = os.path.dirname(os.__file__)
    installed |= {library, os.path.join(library, "lib-dynload")}
    sys.path[:] = [p for p in sys.path if os.path.abspath(p) in installed or os.path.abspath(p) not in dropped]
    sys.path_importer_cache.clear()
