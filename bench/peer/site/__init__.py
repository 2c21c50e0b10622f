"""A Django project with one queue: that which `BENCH_QUEUE` names, on the database that `BENCH_DATABASE` describes."""
