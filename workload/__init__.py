"""What ran, and what is wrong with it."""
