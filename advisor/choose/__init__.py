"""The best set of candidates, each judged in the presence of the others."""
