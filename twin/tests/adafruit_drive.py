"""Drives the TSL2591 of the twin with Adafruit's driver, over a bus that is a pair of pipes.

Run by the test `adafruit` with the driver on the module path. Each line sent is a request, each line received its answer:
`write ADDRESS HEX`, `read ADDRESS COUNT` and `write-read ADDRESS HEX COUNT` (answered by `ok HEX` or `nack`), `sleep MS` and
`light LUX` (answered by `ok`), and `reading GAIN TIME FULL INFRARED LUX`, with `overflow` for LUX where the driver says so.
"""

import sys
import types


def stand_in(module, **names):
    """Makes `module` importable with `names`: what MicroPython and CircuitPython bring, which a computer does without."""
    sys.modules[module] = types.ModuleType(module)
    vars(sys.modules[module]).update(names)


stand_in("micropython", const=lambda value: value)
stand_in("busio", I2C=object)
stand_in("circuitpython_typing", ReadableBuffer=object, WriteableBuffer=object)

import adafruit_tsl2591  # noqa: E402


def ask(*words):
    print(*words, flush=True)
    answer = sys.stdin.readline().split()
    if answer[:1] != ["ok"]:
        raise OSError(" ".join(answer) or "the bus is gone")
    return bytes.fromhex(answer[1]) if len(answer) > 1 else b""


class Bus:
    """What `busio.I2C` offers, as far as Adafruit's bus device asks for it."""

    def try_lock(self):
        return True

    def unlock(self):
        pass

    def writeto(self, address, buffer, *, start=0, end=None):
        ask("write", f"{address:02x}", bytes(buffer)[start:end].hex())

    def readfrom_into(self, address, buffer, *, start=0, end=None):
        count = len(buffer[start:end])
        buffer[start:end] = ask("read", f"{address:02x}", count)

    def writeto_then_readfrom(
        self, address, out_buffer, in_buffer, *, out_start=0, out_end=None, in_start=0, in_end=None
    ):
        count = len(in_buffer[in_start:in_end])
        written = bytes(out_buffer)[out_start:out_end].hex()
        in_buffer[in_start:in_end] = ask("write-read", f"{address:02x}", written, count)


try:
    adafruit_tsl2591.TSL2591(Bus(), address=0x39)
except ValueError:
    pass
else:
    sys.exit("a chip was found where there is none")

sensor = adafruit_tsl2591.TSL2591(Bus())
for lux in (0.05, 3.0, 284.1312, 9000.0):
    ask("light", lux)
    for gain in (0x00, 0x10, 0x20, 0x30):
        for integration_time in range(6):
            sensor.gain = gain
            sensor.integration_time = integration_time
            assert sensor.gain == gain and sensor.integration_time == integration_time
            # The cycle under way when the settings change is spoilt; the next one counts.
            ask("sleep", 2 * 108 * (integration_time + 1))
            full, infrared = sensor.raw_luminosity
            try:
                result = sensor.lux
            except RuntimeError:
                result = "overflow"
            ask("reading", gain, integration_time, full, infrared, result)

sensor.persist = 5
sensor.threshold_high = 0x1234
sensor.nopersist_threshold_low = 0xABCD
assert (sensor.persist, sensor.threshold_high, sensor.nopersist_threshold_low) == (5, 0x1234, 0xABCD)
sensor.clear_interrupt(adafruit_tsl2591.CLEAR_ALL_INTERRUPTS)
sensor.disable()
