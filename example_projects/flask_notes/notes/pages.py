"""The pages."""

from flask import Blueprint, Response, abort, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from pyqueue.core.errors import JobNotFound

from .database import database
from .tasks import queue, speak

TEXT_MAX = 280

pages = Blueprint("pages", __name__)


@pages.get("/")
def index() -> str:
    """All notes, and a form for another one."""
    notes = database().execute("SELECT id, text FROM note ORDER BY id DESC LIMIT 20").fetchall()
    return render_template("index.html", notes=notes, text_max=TEXT_MAX)


@pages.post("/")
def write() -> AnyResponse:
    """Keeps a note. Its job is stored with it: either both are there, or neither."""
    text = request.form.get("text", "").strip()
    if not 0 < len(text) <= TEXT_MAX:
        abort(400, f"a note has 1 to {TEXT_MAX} characters.")
    with database() as transaction:
        [note_id] = transaction.execute("INSERT INTO note (text) VALUES (?) RETURNING id", [text]).fetchone()
        job_id = speak.on(transaction).push(note_id)
        transaction.execute("UPDATE note SET job_id = ? WHERE id = ?", [job_id, note_id])
    return redirect(url_for("pages.show", note_id=note_id))


@pages.get("/notes/<int:note_id>")
def show(note_id: int) -> str:
    """A note, and how far its job is."""
    note = database().execute("SELECT id, text FROM note WHERE id = ?", [note_id]).fetchone() or abort(404)
    return render_template("note.html", note=note)


@pages.get("/notes/<int:note_id>/status")
def status(note_id: int) -> dict[str, object]:
    """What the page of a note asks for until it can be heard."""
    note = database().execute(
        "SELECT job_id, sound IS NOT NULL AS is_spoken FROM note WHERE id = ?", [note_id]
    ).fetchone() or abort(404)
    try:
        job = queue.get_job(note["job_id"])
    except JobNotFound:  # done long ago, and cleaned away
        return {"state": "completed", "progress": 100, "is_spoken": bool(note["is_spoken"])}
    return {"state": job.state, "progress": job.progress or 0, "is_spoken": bool(note["is_spoken"])}


@pages.get("/notes/<int:note_id>.wav")
def sound(note_id: int) -> Response:
    """A note to be heard."""
    note = database().execute("SELECT sound FROM note WHERE id = ?", [note_id]).fetchone()
    if note is None or note["sound"] is None:
        abort(404)
    return Response(note["sound"], mimetype="audio/wav")
