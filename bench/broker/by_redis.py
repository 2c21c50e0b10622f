"""Redis: a list, pushed to and popped from one by one. Prints produce, consume and end to end per second."""

import json
import sys
import time

import redis

jobs, batch = int(sys.argv[1]), 50
client = redis.Redis(host="127.0.0.1", port=6379)
queue = "pyqueue-bench"
client.delete(queue)


def push(count: int) -> None:
    for number in range(count):
        client.lpush(queue, json.dumps({"name": "bench", "data": {"n": number}}))


def consume(count: int) -> None:
    for _ in range(count):
        _, body = client.brpop(queue)
        json.loads(body)


started = time.perf_counter()
push(jobs)
produced = time.perf_counter()
consume(jobs)
consumed = time.perf_counter()
for _ in range(jobs // batch):
    push(batch)
    consume(batch)
ended = time.perf_counter()
print(json.dumps([jobs / (produced - started), jobs / (consumed - produced), jobs / (ended - consumed)]))
