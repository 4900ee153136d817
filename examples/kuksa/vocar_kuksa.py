#!/usr/bin/env python3
"""Tells Vocar what the vehicle says of its power: a bridge from a KUKSA databroker to the message bus.

Vocar itself has no network. This program follows two signals of the Vehicle Signal Specification in the databroker and
hands every new value to `SetVehicleState` of `org.vocar.VoiceAssistant1`. What it said holds as long as it stays on the
bus; when databroker or bus are away, it leaves and tries again.

    pip install kuksa-client dbus-fast
    vocar_kuksa.py [--databroker HOST:PORT] [--bus system|session|ADDRESS]
    vocar_kuksa.py --stdin          # lines "PATH VALUE" in place of a databroker, for other sources and for tests
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import sys
from collections.abc import AsyncIterator

from dbus_fast import BusType, Message, MessageType, Variant
from dbus_fast.aio import MessageBus

NAME = "org.vocar.VoiceAssistant1"
PATH = "/org/vocar/VoiceAssistant1"
IGNITION = "Vehicle.LowVoltageSystemState"
OPTIMISE = "Vehicle.Cabin.Infotainment.PowerOptimizeLevel"
PAUSE = 5.0

log = logging.getLogger("vocar-kuksa")


def variant(path: str, value: object) -> Variant:
    """The value as the bus takes it; ValueError when it is none of that signal's."""
    if path == IGNITION:
        return Variant("s", str(value))
    if path == OPTIMISE:
        number = int(str(value))
        if not 0 <= number <= 255:
            raise ValueError(f"{number} is no uint8")
        return Variant("y", number)
    raise ValueError(f"a signal that Vocar does not know: give {IGNITION} or {OPTIMISE}")


async def connect(address: str) -> MessageBus:
    if address in ("system", "session"):
        kind = BusType.SYSTEM if address == "system" else BusType.SESSION
        return await MessageBus(bus_type=kind).connect()
    return await MessageBus(bus_address=address).connect()


async def tell(bus: MessageBus, path: str, value: object) -> None:
    """Hands one value over. What is refused is logged; a bus that is gone raises."""
    try:
        state = {path: variant(path, value)}
    except ValueError as error:
        log.warning("%s = %r: %s", path, value, error)
        return
    place = {"destination": NAME, "path": PATH, "interface": NAME}
    call = Message(**place, member="SetVehicleState", signature="a{sv}", body=[state])
    reply = await bus.call(call)
    if reply is None or reply.message_type is MessageType.ERROR:
        log.warning("%s = %r: %s", path, value, reply.body[0] if reply and reply.body else "no answer")
    else:
        log.info("%s = %r", path, value)


async def from_databroker(address: str) -> AsyncIterator[tuple[str, object]]:
    """Both signals as the databroker has them, the present values first."""
    from kuksa_client.grpc import VSSClientError
    from kuksa_client.grpc.aio import VSSClient

    host, _, port = address.rpartition(":")
    async with VSSClient(host or "127.0.0.1", int(port)) as client:
        known = []
        for path in (IGNITION, OPTIMISE):
            try:
                await client.get_current_values([path])
                known.append(path)
            except VSSClientError as error:
                log.warning("%s: the databroker does not have it: %s", path, error)
        if not known:
            raise ConnectionError("the databroker has neither signal")
        async for updates in client.subscribe_current_values(known):
            for path, point in updates.items():
                if point is not None and point.value is not None:
                    yield path, point.value


async def from_stdin() -> AsyncIterator[tuple[str, object]]:
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        path, _, value = line.strip().partition(" ")
        if path:
            yield path, value


async def bridge(options: argparse.Namespace) -> None:
    bus = await connect(options.bus)
    try:
        values = from_stdin() if options.stdin else from_databroker(options.databroker)
        async for path, value in values:
            await tell(bus, path, value)
    finally:
        bus.disconnect()


async def keep_up(options: argparse.Namespace) -> None:
    while True:
        try:
            await bridge(options)
            if options.stdin:
                return
            log.warning("the databroker ended the subscription")
        except Exception as error:
            # Whatever the library says when a peer is away; the next try tells whether it still is.
            log.warning("%s: %s", type(error).__name__, error)
        await asyncio.sleep(PAUSE)


def main() -> None:
    parser = argparse.ArgumentParser(description="Tells Vocar what the vehicle says of its power.")
    parser.add_argument("--databroker", default="127.0.0.1:55555", metavar="HOST:PORT")
    parser.add_argument("--bus", default="system", metavar="system|session|ADDRESS")
    parser.add_argument("--stdin", action="store_true", help='read lines "PATH VALUE" in place of a databroker')
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(keep_up(options))


if __name__ == "__main__":
    main()
