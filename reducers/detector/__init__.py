"""Detector steps: overscan, bias, gain, flat, bad pixels, cosmic rays, combination."""
