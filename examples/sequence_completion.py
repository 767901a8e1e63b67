"""
A film goes on by itself
========================

A bar sweeps over a small screen, stored once.  Shown the first frame only, the memory runs the film to its end and stops
there; shown every second frame, it still says how familiar the film is.
"""

import argparse

import numpy as np

from neuromem import SparseySequenceMemory

SIDE = 12


def film(n_frames, direction):
    """A bar of three pixels' width and a dot that runs ahead of it, moving in one direction and then back."""
    frames = np.zeros((n_frames, SIDE, SIDE), np.uint8)
    for t, frame in enumerate(frames):
        place = t % (2 * SIDE - 2)
        place = place if place < SIDE else 2 * SIDE - 2 - place
        frame[place, ::2] = 1
        frame[(place * 5 + t) % SIDE, (3 * t) % SIDE] = 1
    return frames if direction == "down" else frames.swapaxes(1, 2)


def strip(frames, every=4):
    """Frames side by side, as text."""
    rows = []
    for y in range(SIDE):
        rows.append("  ".join("".join("#" if pixel else "." for pixel in frame[y]) for frame in frames[::every]))
    return "\n".join(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter films")
    n_frames = 16 if parser.parse_args().quick else 22

    films = [film(n_frames, direction) for direction in ("down", "right")]
    memory = SparseySequenceMemory(SIDE * SIDE, random_state=0)
    memory.write(np.concatenate(films).reshape(-1, SIDE * SIDE), lengths=[n_frames] * 2)

    for shown in films:
        flat = shown.reshape(n_frames, -1)
        rest = memory.complete_sequence(flat[:1], 3 * n_frames, stop_below=0.5)
        recalled = (rest.frames > 0.5).reshape(-1, SIDE, SIDE)
        print(f"shown 1 frame, recalled {len(recalled)} of {n_frames - 1} before the memory stopped by itself")
        print(strip(recalled))
        right = (recalled == shown[1 : 1 + len(recalled)]).mean()
        print(f"pixels right: {right:.3f}")
        half = memory.familiarity(flat[::2], lengths=[len(flat[::2])]).mean()
        print(f"familiarity at double speed: {half:.2f}\n")
    noise = (np.random.default_rng(0).random((n_frames, SIDE * SIDE)) < 0.06).astype(np.uint8)
    print(f"familiarity of a film never seen: {memory.familiarity(noise, lengths=[n_frames]).mean():.2f}")


if __name__ == "__main__":
    main()
