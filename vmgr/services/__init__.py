"""What the application does, one module for each kind of thing: requests in, changes and outcomes out.

A service asks what has to be asked, adds to a request what the configuration says where it says nothing, lets a
pure operation decide, and hands the change to the session. :mod:`vmgr.app` declares which function carries out
which of its methods, :mod:`vmgr.services.batch` who makes the change of which request.
"""
