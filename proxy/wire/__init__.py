"""PostgreSQL's wire format: framing, message heads, start-up packets, values. Pure, no clock, no I/O."""
