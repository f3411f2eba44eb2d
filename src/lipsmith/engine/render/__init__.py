"""From a wanted MouthPath to pixels: target, retrieval, warp, composite. Knows no sound."""
