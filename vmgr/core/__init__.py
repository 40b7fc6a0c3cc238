"""The volume model and every decision about it. Pure: no files, processes, clock or randomness."""
