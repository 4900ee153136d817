"""Makes the traces of this folder that no machine was at hand for.

They come from a small model, not from a vehicle: one thermal mass that the sun, the ambient air and the processors'
own work heat and a heat sink cools, with the noise of a kernel sensor (tenths of a degree) on top. `busy-machine.tsv`
beside them is a recording. `vocar hw --record` records others.

    python3 hw-profiles/tests/traces/make.py
"""

import math
import random
from pathlib import Path

HEADER = (
    "t_s temperature_c loads allowed cpu_pressure memory_pressure battery available_mib late ignition optimise system"
)
PERIOD = 10
CORES = 7


def line(
    t,
    celsius=None,
    loads=None,
    allowed=None,
    cpu=0.01,
    memory=0.0,
    battery="-",
    mib=2400,
    late=0,
    ignition="ON",
    optimise="0",
):
    def shares(values):
        return "-" if values is None else ",".join(f"{min(1, max(0, value)):.2f}" for value in values)

    cells = [
        f"{t:.1f}",
        "-" if celsius is None else f"{celsius:.1f}",
        shares(loads),
        shares(allowed),
        f"{cpu:.3f}",
        f"{memory:.3f}",
    ]
    return "\t".join([*cells, str(battery), str(mib), str(late), ignition, optimise, "-"])


def write(name, what, lines):
    path = Path(__file__).with_name(f"{name}.tsv")
    text = [f"# {what} From make.py's model, not from a vehicle.", HEADER.replace(" ", "\t"), *lines]
    path.write_text("\n".join(text) + "\n", encoding="utf-8")


def loads(noise, mean):
    return [mean + noise.gauss(0, 0.06) for _ in range(CORES)]


def hot_day():
    """Parked in the sun, driven for two hours, the last hour in the shade: long plateaus near the limits."""
    noise, celsius = random.Random(1), 62.0
    for t in range(0, 3 * 3600, PERIOD):
        sun = 32 if t < 7200 else 8
        ambient = 38 + 6 * math.sin(t / 3600)
        work = 0.45 + 0.1 * math.sin(t / 240)
        target = ambient + sun + 36 * work
        celsius += (target - celsius) * PERIOD / 400
        yield line(t, celsius + noise.gauss(0, 0.7), loads(noise, work), [0.8] * CORES if celsius > 88 else None)


def weak_battery():
    """Accessory power on an old battery: its charge is told in whole per cent and jumps back now and then."""
    noise, charge = random.Random(2), 36.0
    for t in range(0, 2 * 3600, PERIOD):
        charge = max(4.0, charge - 0.045)
        told = round(charge + noise.gauss(0, 0.6))
        yield line(t, 55 + noise.gauss(0, 0.5), loads(noise, 0.2), battery=told, ignition="ACC")


def busy_infotainment():
    """Navigation and video at once: an hour of loads and waiting that play about the limits."""
    noise = random.Random(3)
    waited = 0.02
    for t in range(0, 5400, PERIOD):
        busy = 900 <= t < 4500
        burst = busy and noise.random() < 0.3
        load = (0.78 if busy else 0.25) + (0.15 if burst else 0)
        waited += ((0.45 if burst else 0.2 if busy else 0.01) - waited) * 0.6
        late = noise.choice([0, 0, 1, 3]) if burst else 0
        yield line(
            t,
            60 + 10 * load + noise.gauss(0, 0.6),
            loads(noise, load),
            cpu=max(0, waited + noise.gauss(0, 0.02)),
            mib=800,
            late=late,
        )


def runaway():
    """The fan fails: a degree every four seconds until the kernel throttles, which does not help; then it is cooled."""
    noise, celsius = random.Random(4), 70.0
    for t in range(0, 1800, PERIOD):
        celsius += PERIOD / 4 if t < 900 and celsius < 109 else (58 - celsius) * PERIOD / 200 if t >= 900 else 0
        held = [0.4] * CORES if celsius > 95 else None
        yield line(t, celsius + noise.gauss(0, 0.5), loads(noise, 0.6), held)


if __name__ == "__main__":
    write("hot-day", "A hot day: two hours in the sun, one in the shade.", hot_day())
    write("weak-battery", "Two hours of accessory power on a weak battery.", weak_battery())
    write("busy-infotainment", "An hour of navigation and video, quiet before and after.", busy_infotainment())
    write("thermal-runaway", "A fan fails; after a quarter of an hour it is cooled.", runaway())
