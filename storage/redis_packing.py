"""Packs messages and settlements into the arguments of put.lua, feed.lua and settle.lua. Used by redis_mailbox.py."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from engine.mailbox import ALL_LANES, Envelope, Settlement

LANE_NUMBER = {lane: number for number, lane in enumerate(ALL_LANES, 1)}
BLOCK_SIZE = len(ALL_LANES) + 1

_encode = msgspec.msgpack.Encoder().encode


class Packed(NamedTuple):
    """Settlements for settle.lua: `order` maps its n-th message to a settlement, the blocks of `mailboxes` are its keys."""

    mailboxes: list[str]
    args: list[Any]
    order: list[int]


def pack_envelopes(envelopes: Sequence[Envelope]) -> list[Any]:
    """Return lane number and encoded envelope in turn, as put.lua and feed.lua expect them."""
    args: list[Any] = []
    for envelope in envelopes:
        args += (LANE_NUMBER[envelope.lane], _encode(envelope))
    return args


def pack_settlements(settlements: Sequence[Settlement]) -> Packed:
    """Pack settlements in runs that are alike: from the same stream, to the same one or none, with as many events each."""
    codes = _Codes()
    runs: defaultdict[tuple[int, int, int], list[int]] = defaultdict(list)
    for number, settlement in enumerate(settlements):
        delivery, forward = settlement.delivery, settlement.forward
        target = 0 if forward is None else codes[forward[0], forward[1].lane]
        runs[codes[delivery.mailbox, delivery.lane], target, len(settlement.events)].append(number)
    args: list[Any] = []
    for (source, target, told), run in runs.items():
        args += _run(source, target, told, [settlements[number] for number in run])
    return Packed(codes.mailboxes, args, [number for run in runs.values() for number in run])


def pack_one(source: int, target: int, entry: bytes, size: int) -> list[Any]:
    """Pack a run of one unchanged message without events; if it has a target, the caller appends its envelope."""
    return [source, target, 1, 0, _encode([size]), entry]


def _run(source: int, target: int, told: int, run: Sequence[Settlement]) -> list[Any]:
    args = [source, target, len(run), told, _encode([settlement.delivery.size for settlement in run])]
    args += [settlement.delivery.entry for settlement in run]
    args += [_encode(settlement.forward[1]) for settlement in run if settlement.forward is not None]
    args += [event for settlement in run for event in settlement.events]
    return args


class _Codes(dict[tuple[str, str], int]):
    """(mailbox, lane) → the number of its stream among the blocks of `mailboxes`, as settle.lua counts them."""

    def __init__(self) -> None:
        super().__init__()
        self.mailboxes: list[str] = []

    def __missing__(self, key: tuple[str, str]) -> int:
        mailbox, lane = key
        if mailbox not in self.mailboxes:
            self.mailboxes.append(mailbox)
        code = self[key] = self.mailboxes.index(mailbox) * BLOCK_SIZE + LANE_NUMBER[lane]
        return code
