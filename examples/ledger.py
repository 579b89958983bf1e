"""A ledger: payments from a CSV file, booked by several threads at once.

Each line is ``from,to,cents``. A line that cannot be booked is rejected with its number
and the reason, and changes nothing; all others are booked, whatever the order in which
the threads come to them. Money is neither made nor lost: an auditor adds up all
accounts all the while.

    python ledger.py payments.csv
"""

from __future__ import annotations

import csv
import io
import random
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from atomos import Ref, dosync


class Ledger:
    """Accounts, and what was booked on them."""

    def __init__(self, opening):
        self.accounts = {
            name: Ref(cents, name=name, validator=lambda cents: cents >= 0)
            for name, cents in opening.items()
        }
        self.journal = Ref((), name="journal")

    @dosync
    def book(self, line, payer, payee, cents):
        """Book a payment, with the line it stands in; all of it or nothing."""
        self.account(payer).alter(lambda balance: balance - cents)
        self.account(payee).alter(lambda balance: balance + cents)
        self.journal.commute(lambda lines: (*lines, line))

    def account(self, name):
        """Return an account.

        Raises:
            ValueError: There is none of that name.
        """
        if name not in self.accounts:
            raise ValueError(f"there is no account {name!r}")
        return self.accounts[name]

    @dosync(read_only=True)
    def total(self):
        """Return the sum of all accounts at one instant."""
        return sum(account.deref() for account in self.accounts.values())


def payment(row):
    """Return payer, payee and cents of a row.

    Raises:
        ValueError: It is no payment.
    """
    if len(row) != 3:
        raise ValueError(f"a payment has 3 fields, not {len(row)}")
    payer, payee, cents = (field.strip() for field in row)
    if not cents.isdecimal() or int(cents) == 0:
        raise ValueError(f"{cents!r} is no number of cents above 0")
    if payer == payee:
        raise ValueError(f"{payer} pays himself")
    return payer, payee, int(cents)


def import_payments(ledger, file, threads=8):
    """Book what is in a CSV file; return the rejected lines, number -> reason."""
    rejected = {}

    def handle(numbered):
        line, row = numbered
        try:
            ledger.book(line, *payment(row))
        except ValueError as error:  # also the error of a validator
            rejected[line] = reason(error)

    with ThreadPoolExecutor(threads) as pool:
        rows = csv.reader(file)
        list(pool.map(handle, ((rows.line_num, row) for row in rows if row)))
    return dict(sorted(rejected.items()))


def reason(error):
    """Return why a payment was rejected, in a few words."""
    text = str(error)
    return "not enough money" if "validator" in text else text


def made_up(lines, names, seed=7):
    """Return payments as CSV, one in ten of them wrong."""
    rng = random.Random(seed)
    text = io.StringIO()
    writer = csv.writer(text)
    for _ in range(lines):
        payer, payee = rng.sample(names, 2)
        cents = str(rng.randint(1, 500))
        wrong = {
            0: [payer, payee],
            1: [payer, "nobody", cents],
            2: [payer, payee, "-5"],
            3: [payer, payer, cents],
        }
        writer.writerow(wrong.get(rng.randrange(40), [payer, payee, cents]))
    return text.getvalue()


def run(text, opening):
    """Import payments under the eyes of an auditor; return ledger and rejections."""
    ledger = Ledger(opening)
    expected, done, audits = sum(opening.values()), threading.Event(), []

    def audit():
        while not done.is_set():
            audits.append(ledger.total())

    auditor = threading.Thread(target=audit)
    auditor.start()
    try:
        rejected = import_payments(ledger, io.StringIO(text))
    finally:
        done.set()
        auditor.join()
    assert set(audits) <= {expected}, "the auditor saw half a payment"
    assert ledger.total() == expected
    return ledger, rejected


if __name__ == "__main__":
    names = ["ann", "bob", "cid", "dee", "eve"]
    if len(sys.argv) > 1:
        with open(sys.argv[1], encoding="utf-8", newline="") as source:
            payments = source.read()
    else:
        payments = made_up(2000, names)
    booked, bad = run(payments, dict.fromkeys(names, 100_000))
    for number, why in bad.items():
        print(f"line {number}: {why}", file=sys.stderr if len(sys.argv) > 1 else None)
    print(f"{len(booked.journal.deref())} payments booked, {len(bad)} rejected")
