"""Magnitudes of one star in every photometric system, from its Gaia colour.

Stars lie on one locus with scatter about it. The relations are published fits: Gaia EDR3 to SDSS
(Gaia EDR3 documentation, section 5.5.1), SDSS and Johnson-Cousins to Pan-STARRS (Tonry et al. 2012,
ApJ 750, 99, table 6); u and z follow the stellar locus roughly.
"""

from __future__ import annotations

from typing import Any

import numpy as np

#: Bands of `magnitudes`, each with the scatter of single stars about the locus.
SCATTER_MAG = {
    "u_SDSS": 0.06,
    "g_SDSS": 0.010,
    "r_SDSS": 0.005,
    "i_SDSS": 0.007,
    "z_SDSS": 0.012,
    "U": 0.06,
    "B": 0.020,
    "V": 0.012,
    "R": 0.012,
    "I": 0.012,
    "g_PS1": 0.006,
    "r_PS1": 0.004,
    "i_PS1": 0.004,
    "z_PS1": 0.006,
    "y_PS1": 0.010,
    "G": 0.004,
    "BP": 0.008,
    "RP": 0.006,
}
#: The bluest and the reddest star for which the relations hold.
COLOUR_RANGE = (0.25, 2.2)


def magnitudes(r_sdss: Any, bp_rp: Any, deviates: Any) -> dict[str, Any]:
    """Return magnitudes by band: AB, but Vega for UBVRI and Gaia.

    Parameters
    ----------
    r_sdss, bp_rp : (n,) float
    deviates : (n, bands) float
        Unit normal deviates, one column for each of `SCATTER_MAG`.
    """
    exact = _on_the_locus(np.asarray(r_sdss, float), np.asarray(bp_rp, float))
    return {
        band: exact[band] + scatter * deviates[:, column]
        for column, (band, scatter) in enumerate(SCATTER_MAG.items())
    }


def _on_the_locus(r: Any, c: Any) -> dict[str, Any]:
    gaia = r - 0.09837 + 0.08592 * c + 0.1907 * c**2 - 0.1701 * c**3 + 0.02263 * c**4
    g = gaia - (0.2199 - 0.6365 * c - 0.1548 * c**2 + 0.0064 * c**3)
    i = gaia - (-0.293 + 0.6404 * c - 0.09609 * c**2 - 0.002104 * c**3)
    z = i - (0.55 * (r - i) - 0.02)
    u = g + 0.55 + 1.55 * (g - r)
    x = _ps1_colour(g - r)
    g_ps1 = g - (0.013 + 0.145 * x + 0.019 * x**2)
    r_ps1 = r - (-0.001 + 0.004 * x + 0.007 * x**2)
    i_ps1 = i - (-0.005 + 0.011 * x + 0.010 * x**2)
    z_ps1 = z - (0.013 - 0.039 * x - 0.012 * x**2)
    b = g_ps1 + 0.212 + 0.556 * x + 0.034 * x**2
    red = gaia - (0.64 * c - 0.078 * c**2)
    return {
        "u_SDSS": u,
        "g_SDSS": g,
        "r_SDSS": r,
        "i_SDSS": i,
        "z_SDSS": z,
        "U": b + 0.78 * (u - g) - 0.88,
        "B": b,
        "V": r_ps1 + 0.005 + 0.462 * x + 0.013 * x**2,
        "R": r_ps1 - 0.137 - 0.108 * x - 0.029 * x**2,
        "I": i_ps1 - 0.366 - 0.136 * x - 0.018 * x**2,
        "g_PS1": g_ps1,
        "r_PS1": r_ps1,
        "i_PS1": i_ps1,
        "z_PS1": z_ps1,
        "y_PS1": z_ps1 - 0.3 * (i_ps1 - z_ps1),
        "G": gaia,
        "BP": red + c,
        "RP": red,
    }


def _ps1_colour(g_r_sdss: Any) -> Any:
    # Tonry's polynomials go from PS1 to SDSS; turned round by Newton's method.
    x = g_r_sdss / 1.14
    for _ in range(4):
        x = x - (0.014 + 1.141 * x + 0.012 * x**2 - g_r_sdss) / (1.141 + 0.024 * x)
    return x
