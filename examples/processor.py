"""Steps inside a coffea processor: augment the events of a chunk, then fill histograms as ever.

python examples/processor.py nano_tt_v12.root
"""

from __future__ import annotations

import sys

import hist
from coffea import processor
from coffea.nanoevents import NanoAODSchema

import dask_augment as da

STEPS = (da.Select("nJet >= 4"), da.Define(HT="sum(Jet.pt)"), da.Define(heavy="HT > 500"))


class HTProcessor(processor.ProcessorABC):
    def process(self, events):
        augmented = da.augment(events, *STEPS, seed=7)
        histogram = hist.Hist.new.Bool(name="heavy").Reg(30, 0, 1500, name="HT").Double()
        histogram.fill(heavy=augmented.heavy, HT=augmented.HT)
        return {events.metadata["dataset"]: histogram}

    def postprocess(self, accumulator):
        return accumulator


def main(path):
    runner = processor.Runner(processor.IterativeExecutor(status=False), schema=NanoAODSchema, chunksize=100)
    return runner({"ttbar": {"files": {path: "Events"}}}, HTProcessor())["ttbar"]


if __name__ == "__main__":
    print(main(sys.argv[1]))
