"""RabbitMQ: persistent messages through pika, each acknowledged. Prints produce, consume and end to end per second."""

import json
import sys
import time

import pika

jobs, batch = int(sys.argv[1]), 50
connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1"))
channel = connection.channel()
queue = "pyqueue-bench"
channel.queue_delete(queue)
channel.queue_declare(queue, durable=True)
persistent = pika.BasicProperties(delivery_mode=2)


def push(count: int) -> None:
    for number in range(count):
        body = json.dumps({"name": "bench", "data": {"n": number}})
        channel.basic_publish("", queue, body, persistent)


def consume(count: int) -> None:
    for _ in range(count):
        method, _, body = channel.basic_get(queue)
        while method is None:  # What was published without a confirmation may still be on its way.
            method, _, body = channel.basic_get(queue)
        json.loads(body)
        channel.basic_ack(method.delivery_tag)


started = time.perf_counter()
push(jobs)
produced = time.perf_counter()
consume(jobs)
consumed = time.perf_counter()
for _ in range(jobs // batch):
    push(batch)
    consume(batch)
ended = time.perf_counter()
channel.queue_delete(queue)
connection.close()
print(json.dumps([jobs / (produced - started), jobs / (consumed - produced), jobs / (ended - consumed)]))
