"""From executions to the store: aggregation in the worker, the recorder process behind it."""
