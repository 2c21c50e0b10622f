"""The tasks of the queue that is measured; workers look for this module."""

from __future__ import annotations

import importlib

from django.conf import settings

queue = importlib.import_module(f"bench.peer.site.on_{settings.BENCH_QUEUE}")
