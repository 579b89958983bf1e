"""A bounded buffer between 4 producers and 4 consumers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from atomos import Ref, check, dosync


class Buffer:
    """A queue with a limited number of places."""

    def __init__(self, places):
        self.places = places
        self.items = Ref((), name="items")

    @dosync
    def put(self, item):
        """Append an item, when there is a place."""
        items = self.items.deref()
        check(len(items) < self.places)
        self.items.set((*items, item))

    @dosync
    def take(self):
        """Return the oldest item, when there is one."""
        items = self.items.deref()
        check(items)
        self.items.set(items[1:])
        return items[0]


def run(count=500, places=8):
    """Send `count` items from each of 4 producers; return what 4 consumers took."""
    buffer = Buffer(places)

    def produce(name):
        for number in range(count):
            buffer.put((name, number))

    def consume(_):
        return [buffer.take() for _ in range(count)]

    with ThreadPoolExecutor(8) as pool:
        takers = [pool.submit(consume, name) for name in range(4)]
        makers = [pool.submit(produce, name) for name in range(4)]
        for maker in makers:
            maker.result()
        return [taker.result() for taker in takers]


if __name__ == "__main__":
    taken = run()
    print(f"{sum(map(len, taken))} items went through a buffer of 8 places")
