"""Where the faces are and what their mouths do: detection, tracks, landmarks, canonical shapes."""
