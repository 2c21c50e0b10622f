"""The same two jobs on pyqueue and on its peers; run by `bench.peers`, each in a process with its own libraries."""
