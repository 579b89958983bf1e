"""A web application whose handlers share Refs: the seats of a theatre.

To book takes several seats and counts the money, in one transaction: all or nothing,
and nobody ever sees half a booking. `python web.py` serves it on port 8000.

    POST /book    {"name": "ann", "seats": ["A1", "A2"]}: takes all of them, or none
    DELETE /book  the same, to give them back
    GET /total    who has which seat, how many are free, the takings: at one instant
    GET /wait?seen=N&seconds=S  waits for a change after the N-th; 204 if none came

A transaction may run in a coroutine, but may not contain an `await`, and waiting in one
would hold up all others of the loop. So transactions run in threads here: in those
that Starlette has for plain functions, and in threads of their own where they wait for
long, since else those who wait could take all threads from those who book.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from atomos import Atom, Ref, dosync
from atomos.errors import TransactionTimeout

PRICE = 25
#: So many may wait at a time, each for so many seconds at the most.
WAITING, LONGEST = 64, 30.0


class Refused(Exception):
    """What was asked for cannot be done."""


class Theatre:
    """Seats, each a Ref of who has it; what depends on them; and a log of bookings."""

    def __init__(self, rows="ABCDE", places=20):
        names = [f"{row}{place + 1}" for row in rows for place in range(places)]
        self.seats = {name: Ref(None, name=f"seat {name}") for name in names}
        self.free = Ref(len(names), name="free seats")
        self.takings = Ref(0, name="takings")
        self.changes = Ref(0, name="changes")
        self.log = Atom((), name="log")

    @dosync
    def change(self, old, new, seats):
        """Hand over seats from `old` to `new`, one of which is None; return the change.

        Raises:
            Refused: One of them is not there, or not in the hands of `old`.
        """
        for name in seats:
            seat = self.seats.get(name)
            if seat is None:
                raise Refused(f"there is no seat {name}")
            if seat.deref() != old:
                raise Refused(f"seat {name} is {'not yours' if old else 'taken'}")
            seat.set(new)
        sold = len(seats) if old is None else -len(seats)
        self.free.alter(lambda n: n - sold)
        self.takings.alter(lambda n: n + sold * PRICE)
        return self.changes.alter(lambda n: n + 1)

    @dosync(read_only=True)
    def total(self):
        """Return everything as it is at one instant."""
        owners = {name: seat.deref() for name, seat in self.seats.items()}
        return {
            "owners": {name: who for name, who in owners.items() if who is not None},
            "free": self.free.deref(),
            "takings": self.takings.deref(),
            "changes": self.changes.deref(),
        }

    def wait(self, seen, seconds):
        """Return the total when there are more changes than were seen, else None."""
        try:
            self.changes.wait_for(lambda n: n > seen, timeout=seconds)
        except TransactionTimeout:
            return None
        return self.total()


async def book(request):
    """POST /book, and DELETE to give back."""
    theatre = request.app.state.theatre
    try:
        asked = await request.json()
        name, seats = str(asked["name"]), list(map(str, asked["seats"]))
    except (LookupError, TypeError, ValueError) as error:
        raise HTTPException(400, "a name and seats are needed, as JSON") from error
    hands = (None, name) if request.method == "POST" else (name, None)
    try:
        number = await run_in_threadpool(theatre.change, *hands, seats)
    except Refused as error:
        raise HTTPException(409, str(error)) from error
    line = f"{number}: {request.method} {name} {' '.join(seats)}"
    task = BackgroundTask(theatre.log.swap, lambda lines: (*lines, line))
    return JSONResponse({"change": number}, background=task)


def total(request):
    """GET /total, which Starlette runs in a thread."""
    return JSONResponse(request.app.state.theatre.total())


async def wait(request):
    """GET /wait."""
    state, asked = request.app.state, request.query_params
    try:
        seen = int(asked["seen"])
        seconds = max(0.0, min(float(asked.get("seconds", LONGEST)), LONGEST))
    except (LookupError, ValueError) as error:
        raise HTTPException(400, "seen is a number, and seconds, too") from error
    call = state.waiting, state.theatre.wait, seen, seconds
    found = await asyncio.get_running_loop().run_in_executor(*call)
    return Response(status_code=204) if found is None else JSONResponse(found)


@asynccontextmanager
async def _threads(app):
    with ThreadPoolExecutor(WAITING) as app.state.waiting:
        yield


def make_app():
    """Return the application, with a theatre that is empty."""
    routes = [
        Route("/book", book, methods=["POST", "DELETE"]),
        Route("/total", total),
        Route("/wait", wait),
    ]
    app = Starlette(routes=routes, lifespan=_threads)
    app.state.theatre = Theatre()
    return app


if __name__ == "__main__":
    uvicorn.run(make_app())
