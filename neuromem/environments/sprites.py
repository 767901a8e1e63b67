"""How Ballet looks: fifteen shapes of 9 x 9 pixels and nineteen colours.

Names, their order and their looks are those of the published environment (DeepMind Technologies Limited, Apache License
2.0).  All shapes and all colours but three are checked against frames of the original; "pink", "dark_green" and
"dark_blue" occur in none of those frames.
"""

import numpy as np

SPRITE_SIDE = 9
WALL_GREY = 40

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "purple": (128, 0, 128),
    "orange": (255, 165, 0),
    "yellow": (255, 255, 0),
    "brown": (128, 64, 0),
    "pink": (255, 64, 255),
    "cyan": (0, 255, 255),
    "dark_green": (0, 100, 0),
    "dark_red": (100, 0, 0),
    "dark_blue": (0, 0, 100),
    "olive": (100, 100, 0),
    "teal": (0, 100, 100),
    "lavender": (215, 200, 255),
    "peach": (255, 210, 170),
    "rose": (255, 205, 230),
    "light_green": (200, 255, 200),
    "light_yellow": (255, 255, 200),
}

FULL, POST, LEGS, SIDES, EMPTY = "#########", "...###...", "###...###", "##.....##", "........."

SHAPES: dict[str, tuple[str, ...]] = {
    "triangle": ("....#....", "....#....", POST, POST, "..#####..", "..#####..", ".#######.", ".#######.", FULL),
    "empty_square": (FULL, FULL, SIDES, SIDES, SIDES, SIDES, SIDES, FULL, FULL),
    "plus": (POST, POST, POST, FULL, FULL, FULL, POST, POST, POST),
    "inverse_plus": (LEGS, LEGS, LEGS, EMPTY, EMPTY, EMPTY, LEGS, LEGS, LEGS),
    "ex": (SIDES, LEGS, ".###.###.", "..#####..", POST, "..#####..", ".###.###.", LEGS, SIDES),
    "inverse_ex": ("..#####..", POST, "#...#...#", SIDES, LEGS, SIDES, "#...#...#", POST, "..#####.."),
    "circle": ("....#....", "..#####..", ".#######.", ".#######.", FULL, ".#######.", ".#######.", "..#####..", "....#...."),
    "empty_circle": (
        "..#####..",
        ".##...##.",
        SIDES,
        "#.......#",
        "#.......#",
        "#.......#",
        SIDES,
        ".##...##.",
        "..#####..",
    ),
    "tee": (FULL, FULL, FULL, POST, POST, POST, POST, POST, POST),
    "upside_down_tee": (POST, POST, POST, POST, POST, POST, FULL, FULL, FULL),
    "h": (LEGS, LEGS, LEGS, FULL, FULL, FULL, LEGS, LEGS, LEGS),
    "u": (LEGS, LEGS, LEGS, LEGS, LEGS, LEGS, FULL, FULL, FULL),
    "upside_down_u": (FULL, FULL, FULL, LEGS, LEGS, LEGS, LEGS, LEGS, LEGS),
    "vertical_stripes": ("#.#.#.#.#",) * SPRITE_SIDE,
    "horizontal_stripes": (FULL, EMPTY, FULL, EMPTY, FULL, EMPTY, FULL, EMPTY, FULL),
}


def shape_bitmaps() -> np.ndarray:
    """The shapes' pixels, uint8 (15, 9, 9): 1 where there is paint."""
    return np.array([[[pixel == "#" for pixel in row] for row in rows] for rows in SHAPES.values()], np.uint8)


def colour_table() -> np.ndarray:
    """Red, green and blue of the colours, uint8 (19, 3)."""
    return np.array(list(COLOURS.values()), np.uint8)
