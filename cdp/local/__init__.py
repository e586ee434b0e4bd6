"""PostgreSQL and Redis out of wheels, and the supervisor behind `make run`.

Nothing here does anything in production. Nothing here imports Django: the servers must stand before
settings can be read.
"""
