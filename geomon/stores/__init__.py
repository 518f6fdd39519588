"""What geomon keeps: waveform archive, event catalogue, ledger."""
