# shop.py
import sys

from pyqueue import PyQueue

queue = PyQueue("jobs.db")


@queue.task(queue="emails", max_attempts=5)
def send_welcome(to: str) -> str:
    return f"welcomed {to}"


if __name__ == "__main__":
    for address in sys.argv[1:] or ["user@a.com"]:
        print(send_welcome.push(address))
