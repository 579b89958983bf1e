"""A token that goes round between 12 threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from atomos import Atom


class Ring:
    """Places around which a token goes; the token counts its steps."""

    def __init__(self, places):
        self.places = places
        self.token = Atom(0, name="token")

    def wait(self, place):
        """Wait until the token has come to a place."""
        self.token.wait_for(lambda steps: steps % self.places == place)

    def pass_on(self):
        """Give the token to the next place."""
        self.token.swap(lambda steps: steps + 1)


def run(places=12, rounds=20):
    """Let the token go round; return who had it, in order."""
    ring, held = Ring(places), []

    def stand(place):
        for _ in range(rounds):
            ring.wait(place)
            held.append(place)
            ring.pass_on()

    with ThreadPoolExecutor(places) as pool:
        list(pool.map(stand, range(places)))
    return held


if __name__ == "__main__":
    print(f"the token was passed on {len(run())} times")
