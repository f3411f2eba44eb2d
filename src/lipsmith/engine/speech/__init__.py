"""What a voice asks of a mouth: waveform, features, motion. Knows no picture."""
