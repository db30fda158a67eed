"""The price walk: value noise in several octaves, so that any minute is reached at once."""

from functools import lru_cache

_MASK = (1 << 64) - 1

#: Width of one lattice step as a power of two of minutes (a year, six weeks, … a quarter of an hour), and the
#: largest move of that octave in parts of 2**20 of the symbol's level.
_OCTAVES = ((19, 400_000), (16, 200_000), (13, 80_000), (10, 30_000), (7, 9_000), (4, 2_500), (1, 700))


@lru_cache(maxsize=1 << 15)
def price_ticks(seed: int, level: int, minute: int) -> int:
    """The walk's price at the start of `minute`, in price steps, around `level`."""
    move = 1 << 20
    for shift, amplitude in _OCTAVES:
        at, part = minute >> shift, ((minute & ((1 << shift) - 1)) << 16) >> shift
        ease = part * part * ((3 << 16) - 2 * part) >> 32
        left = _lattice(seed, shift, at)
        move += (left + ((_lattice(seed, shift, at + 1) - left) * ease >> 16)) * amplitude >> 16
    return max(1, level * move >> 20)


@lru_cache(maxsize=1 << 17)
def _lattice(seed: int, shift: int, at: int) -> int:
    """Noise in -65536…65535 at one lattice point (splitmix64)."""
    mixed = (seed + (at * 64 + shift) * 0x9E3779B97F4A7C15) & _MASK
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
    return ((mixed ^ (mixed >> 31)) >> 47) - 65536
