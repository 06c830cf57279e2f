"""From a session's bytes to executions: which reply answers which request, and how long it took."""
