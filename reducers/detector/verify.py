"""Hold what was measured of the detector against its header and its profile."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reducers.identity import Identity
    from reducers.instrument import Detector


def compare_detector(
    facts: Mapping[str, float], identity: Identity, detector: Detector
) -> dict[str, float]:
    """Return by how much gain and read noise differ from what is declared (0.1: by 10 %).

    Parameters
    ----------
    facts
        As in `SpectrumCalibrations.facts`: what the masters measured.

    Returns
    -------
    dict
        'gain_header_off', 'gain_profile_off', 'read_noise_header_off', 'read_noise_off' (against
        the profile); only those that can be known.
    """
    found: dict[str, float] = {}
    gain = facts.get("flat_gain_e_per_adu", 0.0)
    if gain > 0 and facts.get("flat_gain_error", 1.0) < 0.02 * gain:
        found["gain_profile_off"] = abs(gain / detector.gain_e_per_adu - 1)
        if identity.gain_e_per_adu:
            found["gain_header_off"] = abs(gain / identity.gain_e_per_adu - 1)
    noise = facts.get("bias_read_noise_adu", 0.0)
    if noise > 0:
        found["read_noise_off"] = abs(noise / detector.read_noise_adu - 1)
        if identity.read_noise_e:
            in_electrons = noise * (gain if gain > 0 else detector.gain_e_per_adu)
            found["read_noise_header_off"] = abs(in_electrons / identity.read_noise_e - 1)
    return found
