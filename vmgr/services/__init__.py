"""What the application does, one module for each kind of thing: orders in, outcomes out.

A service turns names into identities under the group's lock, asks what has to be asked, lets a pure operation
decide, and hands the change to the session. :mod:`vmgr.app` is the face; nothing else imports these.
"""
