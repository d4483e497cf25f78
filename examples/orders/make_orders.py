#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the order file that examples/feed replays.

    make_orders.py [--orders N] [--seed S] > orders.csv

The same seed gives the same file, byte by byte, with every Python 3, because the random generator is defined
below.

The market: each of six instruments has a middle price that moves by at most one tick for each order. Most
orders are limit orders that rest some ticks away from it; some cross it and trade; some are immediate. A
small book keeps track of the resting orders. Most orders that nobody hits are cancelled after a while, and
all others at the end, so the file leaves an empty book behind and can be replayed in a loop. A few orders are
wrong on purpose: they have an unknown symbol or account, a price far from the middle, a size under one lot or
over the limit, or they are cancels that come too late.
"""
import argparse
import heapq
import sys

# symbol, middle price in ticks, units of a lot: as in examples/engine/instrument.c
INSTRUMENTS = [("BTCUSDT", 60000, 1), ("ETHUSDT", 30000, 5), ("SOLUSDT", 15000, 10),
               ("XRPUSDT", 6000, 100), ("ADAUSDT", 4500, 100), ("DOGEUSDT", 2500, 500)]
ACCOUNTS = 64
HEADING = "kind,account,symbol,side,price,quantity,target"


class Random:
    """splitmix64: short, and the same everywhere."""

    def __init__(self, seed):
        self.state = seed

    def below(self, bound):
        mask = (1 << 64) - 1
        self.state = (self.state + 0x9E3779B97F4A7C15) & mask
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        return (z ^ (z >> 31)) % bound

    def chance(self, percent):
        return self.below(100) < percent


class Book:
    """The resting orders of one instrument, in enough detail to know which are still open."""

    def __init__(self):
        self.sides = {"buy": [], "sell": []}
        self.left = {}

    def take(self, line, side, price, quantity, rests):
        other = self.sides["sell" if side == "buy" else "buy"]
        sign = 1 if side == "buy" else -1
        while quantity and other and other[0][0] <= sign * price:
            maker = other[0][1]
            if maker not in self.left:
                heapq.heappop(other)
                continue
            traded = min(quantity, self.left[maker])
            quantity -= traded
            self.left[maker] -= traded
            if self.left[maker] == 0:
                del self.left[maker]
        if quantity and rests:
            self.left[line] = quantity
            heapq.heappush(self.sides[side], (-sign * price, line))


class Market:
    def __init__(self, seed):
        self.random = Random(seed)
        self.books = {symbol: Book() for symbol, _, _ in INSTRUMENTS}
        self.middle = {symbol: middle for symbol, middle, _ in INSTRUMENTS}
        self.lines = []
        self.cancels = []  # (due, line, account, symbol), a heap

    def add(self, kind, account, symbol="", side="", price="", quantity="", target=""):
        self.lines.append(f"{kind},{account},{symbol},{side},{price},{quantity},{target}")
        return len(self.lines)

    def walk(self, symbol, start):
        self.middle[symbol] += self.random.below(3) - 1
        if abs(self.middle[symbol] - start) > 400:  # never out of the engine's price band
            self.middle[symbol] = start

    def place(self):
        random = self.random
        symbol, start, lot = INSTRUMENTS[random.below(len(INSTRUMENTS))]
        self.walk(symbol, start)
        account = 1 + random.below(ACCOUNTS)
        side = "buy" if random.chance(50) else "sell"
        away = -1 if side == "buy" else 1
        lots = 1 + random.below(20) * random.below(5)
        crosses = random.chance(30)
        kind = "immediate" if crosses and random.chance(40) else "limit"
        # A crossing order is larger than one resting order, so that it hits several.
        quantity = lots * lot * (3 if crosses else 1)
        distance = -random.below(8) if crosses else 1 + random.below(12)
        price = self.middle[symbol] + away * distance
        line = self.add(kind, account, symbol, side, price, quantity)
        self.books[symbol].take(line, side, price, quantity, kind == "limit")
        if kind == "limit":
            heapq.heappush(self.cancels, (line + 100 + random.below(1500), line, account, symbol))

    def place_wrong(self):
        random = self.random
        symbol, start, lot = INSTRUMENTS[random.below(len(INSTRUMENTS))]
        account = 1 + random.below(ACCOUNTS)
        fault = random.below(5)
        if fault == 0:
            self.add("immediate", account, "NOSUCH", "buy", start, lot)
        elif fault == 1:
            self.add("immediate", ACCOUNTS + 1 + random.below(9), symbol, "sell", start, lot)
        elif fault == 2:
            self.add("immediate", account, symbol, "sell", start * 2, lot)
        elif fault == 3:
            self.add("immediate", account, symbol, "buy", self.middle[symbol], lot - 1)
        else:
            self.add("immediate", account, symbol, "buy", self.middle[symbol] - 50, lot * 5000)

    def cancel_due(self, everything=False):
        """Cancels one order that is due and still rests; sometimes one that no longer rests."""
        while self.cancels and (everything or self.cancels[0][0] <= len(self.lines)):
            _, line, account, symbol = heapq.heappop(self.cancels)
            resting = self.books[symbol].left.pop(line, 0)
            if resting or (not everything and self.random.chance(5)):
                self.add("cancel", account, target=line)
                return True
        return False

    def run(self, count):
        while len(self.lines) + sum(len(book.left) for book in self.books.values()) < count:
            if self.cancel_due():
                continue
            if self.random.chance(1):
                self.place_wrong()
            else:
                self.place()
        while self.cancel_due(everything=True):
            pass


def main():
    parser = argparse.ArgumentParser(description="Makes an order file for examples/feed.")
    parser.add_argument("--orders", type=int, default=20000, help="approximate number of lines (default 20000)")
    parser.add_argument("--seed", type=int, default=1, help="default 1")
    options = parser.parse_args()
    market = Market(options.seed)
    market.run(options.orders)
    sys.stdout.write(f"# made by make_orders.py --orders {options.orders} --seed {options.seed}\n{HEADING}\n")
    sys.stdout.write("\n".join(market.lines) + "\n")


if __name__ == "__main__":
    main()
