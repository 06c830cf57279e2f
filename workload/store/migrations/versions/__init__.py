"""One file a schema version. A released one is never edited."""
