"""How people meet pgcoach: the command line, the full-screen application, reports."""
