"""What to do about it: candidates, proofs, migrations."""
