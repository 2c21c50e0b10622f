"""Job queues for Flask: `queue = FlaskQueue()`, `queue.init_app(app)`, `flask pyqueue worker`.

queue = FlaskQueue()

@queue.task
def send_receipt(order_id: int) -> None: ...

queue.on(db.session).push("default", "send-receipt", {"order_id": 1})  # committed or rolled back with the session

Needs the extra `flask`.
"""

from pyqueue.contrib.flask.extension import FlaskQueue
from pyqueue.contrib.flask.queues import AppQueue

__all__ = ["AppQueue", "FlaskQueue"]
