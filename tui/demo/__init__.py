"""``pgcoach demo``: the whole way on a machine that has nothing but Python.

A private PostgreSQL, a shop that makes the usual mistakes, and pgcoach between the two. What pgcoach does
here it does through the same commands and functions as on any other database; this package only starts
processes in order and prints what came out.
"""
