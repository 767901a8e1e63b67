"""
How three memories forget
=========================

A buffer that keeps the newest items, one that keeps a fair sample of all, and an associative net of bits: the same probe asks
all three what they recognise as more and more is written, and curves are fitted to the answers, beside what people kept.
"""

# %%
# Options of the script.  ``--quick`` takes fewer items and one repetition.

import argparse
from pathlib import Path

import matplotlib.pyplot as plt

from neuromem import ItemSpec, ProbeResult, WillshawMemory
from neuromem.retention import (
    FIFOBuffer,
    ReservoirBuffer,
    compare_curves,
    half_life,
    plot_retention,
    plot_with_people,
    retention_curve,
    source_for,
)

parser = argparse.ArgumentParser(description="Forgetting curves of three memories at equal bytes.")
parser.add_argument("--quick", action="store_true", help="fewer items, one repetition")
parser.add_argument("--out", type=Path, default=Path("."), help="folder for the picture (default: here)")
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)

# %%
# Three memories at equal bytes
# -----------------------------
# ``for_budget`` makes the largest memory of its kind that fits; ``item_spec`` says what it takes, and ``source_for`` makes
# items of that sort.  Item i is made again from its number whenever it is asked for, so nothing has to be kept.

N_BYTES, N_FEATURES = 160_000, 128
SEEDS = range(1 if options.quick else 4)
memories = {
    "newest items": FIFOBuffer.for_budget(N_BYTES, ItemSpec(N_FEATURES, "real")),
    "sample of all": ReservoirBuffer.for_budget(N_BYTES, ItemSpec(N_FEATURES, "real"), random_state=0),
    "net of bits": WillshawMemory.for_budget(N_BYTES, ItemSpec(N_FEATURES, "binary")),
}

# %%
# The probe
# ---------
# Targets are studied once, then other items are written.  At every checkpoint each target is to be told from an item that was
# never written.  The memory passed in is copied, never changed.

n_target = 60 if options.quick else 200
checkpoints = [1, 3, 10, 30, 100, 300, 1000] if options.quick else [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000]
tables = {}
for name, memory in memories.items():
    source = source_for(memory.item_spec)
    tables[name] = retention_curve(
        memory, source, n_target=n_target, checkpoints=checkpoints, probes="recognition", foils="novel", seeds=SEEDS
    )

# %%
# Curves
# ------
# Every model of the library is fitted to the counts, with the floor of one half that guessing gives, and the one with the
# lowest AICc is taken.  The buffer forgets at a step, which none of the textbook curves has.

fits = {}
print(f"{'memory':16}{'half-life':>10}  {'best curve':22}{'weight':>7}")
for name, table in tables.items():
    rows = table.where(condition="studied", measure="accuracy")
    best = compare_curves(rows).curves[0]
    fits[name] = best.fit
    life = half_life(table, rows.table["system"][0])
    print(f"{name:16}{life!s:>10}  {best.model:22}{best.weight:7.2f}")

# %%
# Picture
# -------
# People's clock is not a count of items.  On the right it is stretched so that Ebbinghaus and one memory fall to half together,
# and the factor is written below; only how the lines bend may be compared.

together = ProbeResult([row | {"system": name} for name, table in tables.items() for row in table.rows()])
figure, axes = plt.subplots(1, 2, figsize=(11.0, 4.4), layout="constrained")
plot_retention(together, fits=fits, ax=axes[0])
axes[0].set_title("told from items never written (dashed: fitted)")
axes[0].legend(loc="lower left")
plot_with_people(together, ax=axes[1])
figure.savefig(options.out / "retention_curves.png", dpi=120)
print("picture: retention_curves.png")
