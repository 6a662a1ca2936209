"""Running a step in a process and stopping it: start, protocol, guard, and how it ended."""
