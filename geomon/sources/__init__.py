"""Where waveforms and station metadata come from."""
