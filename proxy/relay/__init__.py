"""Sockets: listener, pump, cancel, back-pressure, drain. asyncio on uvloop."""
