"""One person: the library of his mouths and his calibration. Sound reaches him only as a MouthPath."""
