"""Waveforms and networks with known truth: arrays only."""
