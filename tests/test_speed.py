"""What is timed is what is done: the products counted, the powers fitted, the record left."""

import ast
import csv
import json
import math
import os
import subprocess
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import pytest

from experiments import speed
from experiments.bench import roof
from experiments.bench.roof import Product
from minuddm import ModelConfig

CONFIG = ModelConfig(vocab=11, length=6, width=16, blocks=2, heads=2, cond=10)


COUNTING = """
import json
from collections import Counter
import numpy as np
from minuddm import ModelConfig, Transformer
from minuddm.machine import attention, linear
from minuddm.machine.engine import Compiled

config, B, done = ModelConfig(**CONFIG), 5, Counter()

def counted(multiply):
    def product(C, A, B, *rest):
        done[str((A.shape[0], A.shape[1], B.shape[1]))] += 1
        multiply(C, A, B, *rest)
    return product

linear.product = counted(linear.product)
attention.small_product = counted(attention.small_product)
rng = np.random.default_rng(0)
x = rng.integers(config.vocab, size=(B, config.length))
Transformer.init(config, rng, engine=Compiled).loss_and_grad(x, x, rng.uniform(0.1, 0.9, B), -1.0)
print(json.dumps(done))
"""


def test_the_products_counted_are_those_of_a_step():
    # length and head are whole registers, that no product is filled up with zeros
    config = ModelConfig(vocab=1100, length=16, width=32, blocks=2, heads=2, cond=10)
    answer = subprocess.run(
        [sys.executable, "-c", COUNTING.replace("CONFIG", repr(asdict(config)))],
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"},  # the same code as plain Python
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1],
    )  # fmt: skip
    counted: Counter[str] = Counter()
    for p, times in roof.products(config, 5).items():
        counted[str((p.m, p.k, p.n))] += times * math.prod(p.batch)
    assert counted == json.loads(answer.stdout)
    assert roof.flops(config, 5) == sum(
        2 * math.prod(ast.literal_eval(key)) * n for key, n in counted.items()
    )


def test_a_product_is_timed_with_its_transposes():
    for first in (False, True):
        for second in (False, True):
            product = Product((2, 3), 4, 5, 6, first, second)
            assert product.flops == 2 * 6 * 4 * 5 * 6
            assert roof._alone(product, 1) > 0
    assert roof.roof(CONFIG, 5, shards=2, repeats=1) > 0


def test_the_powers_of_a_known_law_are_found():
    rows = [
        {"side": "x", "P": P, "L": L, "V": V, "seconds": 1e-9 * P * L**0.5}
        for P, L, V in [(10, 8, 4), (100, 8, 4), (1000, 8, 4), (100, 16, 4), (100, 32, 4),
                        (100, 8, 40)]
    ]  # fmt: skip
    assert speed.powers(rows)["x"] == pytest.approx({"P": 1.0, "L": 0.5, "V": 0.0}, abs=1e-12)


@pytest.mark.filterwarnings("ignore::UserWarning")  # of PyTorch, where it is installed
def test_the_small_form_leaves_its_record(tmp_path, capsys):
    speed.EXPERIMENT.main(["--quick", "--jobs", "2", "--out", str(tmp_path)])
    printed = capsys.readouterr().out
    record = json.loads((tmp_path / "record.json").read_text())
    assert record["headline"]["paragraph"] in printed
    assert record["headline"]["share_of_roof"].keys() == {"16 x 1"}
    with (tmp_path / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == speed.COLUMNS
    assert {row["what"] for row in rows} == {
        "step", "roof", "restore", "recall", "memory", "grid", "start", "scale"
    }  # fmt: skip
    assert all(float(row["seconds"]) > 0 for row in rows)
    assert (tmp_path / "figure.svg").exists()
