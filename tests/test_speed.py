"""What is timed is what is done: the products counted, the powers fitted, the record left."""

import csv
import json
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

from experiments import roof, speed
from experiments.roof import Product
from minuddm import ModelConfig, Transformer
from minuddm.layers import attention, linear

CONFIG = ModelConfig(vocab=11, length=6, width=16, blocks=2, heads=2, cond=10)


def test_the_products_counted_are_those_of_a_step(monkeypatch):
    done: Counter[tuple[int, ...]] = Counter()

    def matmul(a, b, out):
        done[(*out.shape[:-2], out.shape[-2], a.shape[-1], out.shape[-1])] += 1
        return np.matmul(a, b, out=out)

    for module in (linear, attention):
        counting = SimpleNamespace(**{name: getattr(np, name) for name in np.__all__})
        counting.matmul = matmul
        monkeypatch.setattr(module, "np", counting)
    rng, B = np.random.default_rng(0), 5
    x = rng.integers(CONFIG.vocab, size=(B, CONFIG.length))
    Transformer.init(CONFIG, rng).loss_and_grad(x, x, rng.uniform(0.1, 0.9, B), -1.0)
    counted: Counter[tuple[int, ...]] = Counter()
    for p, times in roof.products(CONFIG, B).items():
        counted[(*p.batch, p.m, p.k, p.n)] += times
    assert counted == done
    assert roof.flops(CONFIG, B) == sum(2 * np.prod(key) * n for key, n in done.items())


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
    speed.main(["--quick", "--jobs", "2", "--out", str(tmp_path)])
    printed = capsys.readouterr().out
    record = json.loads((tmp_path / "record.json").read_text())
    assert printed.rstrip().endswith(record["headline"]["paragraph"])
    assert record["headline"]["share_of_roof"].keys() == {"16 x 1"}
    with (tmp_path / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == speed.COLUMNS
    assert {row["what"] for row in rows} == {
        "step", "roof", "restore", "recall", "sweep", "start", "scale"
    }  # fmt: skip
    assert all(float(row["seconds"]) > 0 for row in rows)
    assert (tmp_path / "figure.svg").exists()
