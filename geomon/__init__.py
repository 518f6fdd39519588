"""geomon: from continuous seismic waveforms to an earthquake catalogue people can trust."""
