#!/usr/bin/env python3
"""An infotainment service in the style of Automotive Grade Linux: acts on the intents of the voice assistant.

Prints a line of JSON for each intent and, where the command has a signal of the Vehicle Signal Specification, the value
that would be set there. Comes back when the assistant or the bus was away. Needs dbus-next (Debian: python3-dbus-next)
and, on the vehicle's bus, a user in group vocar.

    subscriber.py            the system bus (or $DBUS_SYSTEM_BUS_ADDRESS)
    subscriber.py --session  the session bus
"""

import asyncio
import json
import sys

from dbus_next import BusType, Message, MessageType, Variant
from dbus_next.aio import MessageBus

NAME = "org.vocar.VoiceAssistant1"
RULE = f"type='signal',sender='{NAME}',interface='{NAME}',member='IntentRecognized'"
# How long to wait for a bus that went away, seconds.
PAUSE = 0.5


def plain(value: object) -> object:
    """A value from the bus without its wrapping in variants."""
    if isinstance(value, Variant):
        return plain(value.value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def target(slots: dict[str, dict]) -> float | bool:
    """What a signal would be set to: the first number among the slots, else true."""
    for slot in slots.values():
        for kind, value in slot.items():
            if kind in ("number", "percent"):
                return value
            if kind == "temperature":
                return value["degrees"]
    return True


def act(message: Message) -> None:
    """What an app does with an intent; this one tells."""
    session, zone, domain, name, slots, details = map(plain, message.body)
    line = {"session": session, "zone": zone, "domain": domain, "name": name, "slots": slots}
    if details.get("vss"):
        line["set"] = {details["vss"]: target(slots)}
    print(json.dumps(line), flush=True)


async def serve(bus_type: BusType) -> None:
    """Listens until the bus goes away."""
    bus = await MessageBus(bus_type=bus_type).connect()

    def receive(message: Message) -> None:
        ours = message.interface == NAME and message.member == "IntentRecognized"
        if message.message_type is MessageType.SIGNAL and ours:
            act(message)

    bus.add_message_handler(receive)
    reply = await bus.call(
        Message(
            destination="org.freedesktop.DBus",
            path="/org/freedesktop/DBus",
            interface="org.freedesktop.DBus",
            member="AddMatch",
            signature="s",
            body=[RULE],
        )
    )
    if reply.message_type is MessageType.ERROR:
        raise ConnectionError(f"the bus refuses to tell of intents: {reply.body[0]}")
    print("listening", file=sys.stderr, flush=True)
    await bus.wait_for_disconnect()


async def main() -> None:
    bus_type = BusType.SESSION if "--session" in sys.argv[1:] else BusType.SYSTEM
    while True:
        try:
            await serve(bus_type)
        except (OSError, EOFError) as error:
            print(f"the bus is away: {error}", file=sys.stderr, flush=True)
        await asyncio.sleep(PAUSE)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        sys.exit(0)
