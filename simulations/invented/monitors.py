"""What a bedside monitor saw of an invented person, and what it failed to see.

Resting pulse and its spread follow Ostchega et al., National Health Statistics Reports
41 (2011): about 72 beats a minute, deviation 11. Oxygen saturation and respiratory rate
are textbook levels. Each channel is an AR(1) series around a level that the hidden
state moves, with a daily rhythm and a drift in those who will come back.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from common.release import Array
from simulations.invented.patients import Person

HOURS = 48


@dataclass(frozen=True, slots=True)
class Channel:
    """How one channel behaves: where it rests, what moves it, how far it swings.

    ``state`` weighs metabolism, heart and lungs. ``drift`` is per day, in those who are
    readmitted. ``limits`` are what the device can show.
    """

    unit: str
    level: float
    state: tuple[float, float, float]
    rhythm: float
    noise: float
    drift: float
    limits: tuple[float, float]


CHANNELS: Mapping[str, Channel] = MappingProxyType(
    {
        "heart_rate": Channel("/min", 72, (2, 7, 3), 4, 5, 6, (25, 230)),
        "saturation": Channel("%", 96.3, (0, -0.3, -1.2), 0.3, 0.8, -1.5, (60, 100)),
        "respiration": Channel("/min", 16, (0, 0.5, 2), 0.8, 1.5, 2, (4, 60)),
    }
)
STICKY = 0.95
"""What is left of a deviation after a quarter of an hour."""


@dataclass(frozen=True, slots=True, repr=False)
class Recording:
    """Samples from the hour of admission on: hours [samples], values by channel.

    A sample that was lost is NaN.
    """

    hours: Array
    values: Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Monitor:
    """A hospital's device: how often it samples, how often it loses the sensor."""

    minutes: float
    lost: float
    longest: int


def record(person: Person, monitor: Monitor, rng: np.random.Generator) -> Recording:
    """Return 48 hours of *person* on *monitor*, in steps that the device can show."""
    hours = np.arange(0.0, HOURS, monitor.minutes / 60.0)
    worse = float(person.values["readmitted"] == "yes")
    values = {}
    for name, channel in CHANNELS.items():
        level = channel.level + np.dot(channel.state, person.state)
        rhythm = -channel.rhythm * np.cos(2 * np.pi * hours / 24.0)
        drift = worse * channel.drift * hours / 24.0
        wave = level + rhythm + drift + channel.noise * _sticky(hours, rng)
        shown = np.clip(np.round(wave), *channel.limits)
        values[name] = np.where(_gone(len(hours), monitor, rng), np.nan, shown)
    return Recording(hours, values)


def _sticky(hours: Array, rng: np.random.Generator) -> Array:
    """Return an AR(1) series of deviation 1, one number an hour of *hours*."""
    keeps = STICKY ** ((hours[1] - hours[0]) / 0.25)
    fresh = np.sqrt(1.0 - keeps**2) * rng.standard_normal(len(hours))
    series = np.empty(len(hours))
    last = float(rng.standard_normal())
    for place, step in enumerate(fresh.tolist()):
        last = keeps * last + step
        series[place] = last
    return series


def _gone(samples: int, monitor: Monitor, rng: np.random.Generator) -> Array:
    """Return which samples were lost, in stretches of up to ``longest``."""
    gone = np.zeros(samples, dtype=bool)
    for start in np.flatnonzero(rng.random(samples) < monitor.lost):
        gone[start : start + 1 + int(rng.integers(monitor.longest))] = True
    return gone
