"""The machine around vmgr: configuration, disks, devices, locks, backups. No decisions about volumes."""
