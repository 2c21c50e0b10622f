"""The jobs of the application. Each runs in a context of it, as a request does."""

from pyqueue import Discard, JobContext
from pyqueue.contrib.flask import FlaskQueue

from .database import database
from .morse import sounds, wav

queue = FlaskQueue()


@queue.task(queue="sounds", timeout_ms=60_000)
def speak(ctx: JobContext, note_id: int) -> None:
    """Makes Morse code of a note, and says how far it is."""
    note = database().execute("SELECT text FROM note WHERE id = ?", [note_id]).fetchone()
    if note is None:
        raise Discard("the note was deleted meanwhile")
    spoken = []
    for sound in sounds(note["text"]):
        spoken.append(sound)
        if len(spoken) % 10 == 0:
            ctx.progress(100 * len(spoken) // len(note["text"]), f"{len(spoken)} characters spoken")
    with database() as transaction:
        transaction.execute("UPDATE note SET sound = ? WHERE id = ?", [wav(spoken), note_id])


@queue.every(hours=1)
@queue.task(queue="tidying")
def forget_old_notes(days: int = 30) -> int:
    """Deletes what was written long ago: every hour."""
    with database() as transaction:
        return transaction.execute("DELETE FROM note WHERE written_at < datetime('now', ?)", [f"-{days} days"]).rowcount
