"""Every probe of relearning, interference and capacity on every memory of the library: it runs, and changes nothing."""

import numpy as np
import pytest

from neuromem import (
    BidirectionalAssociativeMemory,
    DenseAssociativeMemory,
    ExactStore,
    HopfieldNetwork,
    ModernHopfield,
    SparseDistributedMemory,
    SparseyMac,
    WillshawMemory,
)
from neuromem.hopfield import MultitaskingHebbian
from neuromem.retention import (
    assert_retention,
    capacity_probe,
    fan_probe,
    interference_probe,
    list_length_probe,
    savings_probe,
    serial_position_probe,
    source_for,
)
from neuromem.retention.adapters import state_digest

LIBRARY = {
    "exact": lambda: ExactStore(64),
    "mac": lambda: SparseyMac(64, 8, 16, random_state=0),
    "hebbian": lambda: MultitaskingHebbian(64, random_state=0),
    "hopfield": lambda: HopfieldNetwork(64),
    "dense": lambda: DenseAssociativeMemory(64),
    "modern": lambda: ModernHopfield(64),
    "bidirectional": lambda: BidirectionalAssociativeMemory(64),
    "willshaw": lambda: WillshawMemory(64),
    "sparse distributed": lambda: SparseDistributedMemory(64, 300, max_steps=1, random_state=0),
}
PROBES = {
    savings_probe: {"n_study": 8, "intervals": (0, 10), "max_cost": 4},
    list_length_probe: {"lengths": (4, 8)},
    serial_position_probe: {"n_study": 6, "n_lists": 2},
    interference_probe: {"n_study": 6},
    fan_probe: {"n_study": 8, "fans": (1, 2)},
    capacity_probe: {"n_max": 16},
    assert_retention: {"lag": 5, "n_target": 10},
}


@pytest.mark.filterwarnings("ignore::neuromem.errors.NeuromemWarning")
@pytest.mark.parametrize("name", LIBRARY)
def test_every_probe_runs_and_leaves_the_memory_as_it_was(name):
    memory = LIBRARY[name]()
    source = source_for(memory.item_spec)
    memory.write(source.get(source.ids("control", 2, 500)))
    before = state_digest(memory)
    results = [probe(memory, source, seeds=1, check_purity=True, **options) for probe, options in PROBES.items()]
    again = [probe(memory, source, seeds=1, **options) for probe, options in reversed(PROBES.items())]
    assert state_digest(memory) == before
    assert results == again[::-1], "the order of probes makes a difference"
    for result in results:
        shares = result.table[np.isfinite(result.table["k"])]
        assert len(shares) and ((shares["ci_lo"] <= shares["value"]) & (shares["value"] <= shares["ci_hi"])).all()
        assert set(result.values("seed").tolist()) == {1}
