"""Shares of the multiply-add peak, which compare across machines and across a machine's moods."""

from bench.roofline import usable_threads
from bench.tracked import TRACKED


class Roofline:
    params = (list(TRACKED),)
    param_names = ("call",)
    timeout = 300

    def setup_cache(self):
        return {name: tracked.share(usable_threads()) for name, tracked in TRACKED.items()}

    def track_roofline_share(self, shares, call):
        return shares[call]

    def track_peak_times(self, shares, call):
        """The other way round: of two numbers asv takes the smaller one for the better."""
        return 1 / shares[call]

    setup_cache.timeout = 300
    track_roofline_share.unit = "of FMA peak"
    track_peak_times.unit = "times the time at the FMA peak"
