#!/usr/bin/python3
"""Writes models.json: the oracle's CRLB of every golden design in the coupled sensing models, for the scenes whose values
file does not have them. Run again only when oracle.py changes."""
import json
import os

import oracle

HERE = os.path.dirname(os.path.abspath(__file__))
NAMES = ("uneven_n6", "multi_n8", "four_n16", "wide_n64")
MODELS = (("crlb_coherent_m2", "coherent", 0.0), ("crlb_band_5mhz_m2", "band", 5e6),
          ("crlb_band_20mhz_m2", "band", 20e6), ("crlb_band_200mhz_m2", "band", 200e6))

out = {"format": "beamd-models/1", "scenes": []}
for name in NAMES:
    scene = oracle.load_scene(os.path.join(HERE, name + ".json"))
    with open(os.path.join(HERE, name + ".values.json")) as f:
        designs = json.load(f)["designs"]
    rows = []
    for design in designs:
        V, B = oracle.design_from_json(scene, design["stations"])
        row = {"name": design["name"]}
        for key, model, bandwidth in MODELS:
            row[key] = oracle.rnd(oracle.crlb(oracle.with_model(scene, model, bandwidth), V, B), 12)
        rows.append(row)
    out["scenes"].append({"scene": name, "designs": rows})
with open(os.path.join(HERE, "models.json"), "w") as f:
    json.dump(out, f, indent=1)
    f.write("\n")
