"""What runs inside the lab's machine, as its first process. Imports the standard library only."""
