"""report: everything that was measured, with its verdicts, on a page and in RESULTS.md.

Nothing is computed here: numbers come from the records in `experiments/results`, verdicts from the
experiments that made them. A record that is missing is named as missing, a damaged one refused.
"""

from typing import NamedTuple

from experiments import (
    basins,
    capacity,
    entropy_memorization,
    estimators,
    extraction,
    gallery,
    generated,
    kernel_lab,
    keystone,
    learning_time,
    phase_diagram,
    probed,
    propagation,
    recipe,
    samplers,
    size_sweep,
    speed,
    spin_transition,
    spurious,
    stability,
    transition,
    two_processes,
    uncertainty,
    unseen_basins,
)
from experiments.kit.experiment import Experiment, Verdict
from experiments.kit.record import Record

PARTS: dict[str, tuple[Experiment, ...]] = {
    "From memory to generalisation": (
        transition.EXPERIMENT,
        size_sweep.EXPERIMENT,
        estimators.EXPERIMENT,
        uncertainty.EXPERIMENT,
        probed.EXPERIMENT,
        stability.EXPERIMENT,
        unseen_basins.EXPERIMENT,
        generated.EXPERIMENT,
        learning_time.EXPERIMENT,
        phase_diagram.EXPERIMENT,
        recipe.EXPERIMENT,
    ),
    "Memory as its neighbours measure it": (
        extraction.EXPERIMENT,
        entropy_memorization.EXPERIMENT,
    ),
    "Two processes": (two_processes.EXPERIMENT,),
    "One theory": (kernel_lab.EXPERIMENT, keystone.EXPERIMENT),
    "Samplers": (samplers.EXPERIMENT,),
    "With and without an energy": (
        capacity.EXPERIMENT,
        spin_transition.EXPERIMENT,
        basins.EXPERIMENT,
        spurious.EXPERIMENT,
        propagation.EXPERIMENT,
        gallery.EXPERIMENT,
    ),
    "Speed": (speed.EXPERIMENT,),
}


class Judged(NamedTuple):
    """One record of an experiment, or none where it was not run, and its verdicts."""

    part: str
    experiment: Experiment
    name: str
    record: Record | None
    verdicts: list[Verdict]


def judged(found: dict[str, Record]) -> list[Judged]:
    """Return all records in the order of the parts, each with the verdicts on it.

    Raises `ValueError` with one line for a record that lacks what its verdicts are read from.
    """
    result = []
    for part, experiments in PARTS.items():
        for experiment in experiments:
            own = [name for name, record in found.items() if record.experiment == experiment.name]
            for name in sorted(
                own, key=lambda x, first=experiment.name: (not x.startswith(first), x)
            ):
                verdicts = _verdicts(experiment, name, found[name])
                result.append(Judged(part, experiment, name, found[name], verdicts))
            if not own:
                missing = Verdict(experiment.claim, "no record: not run", (None,))
                result.append(Judged(part, experiment, experiment.name, None, [missing]))
    return result


def _verdicts(experiment: Experiment, name: str, record: Record) -> list[Verdict]:
    try:
        return experiment.verdicts(record)
    except Exception as error:  # whatever reading a record of another form may raise
        kind = type(error).__name__
        raise ValueError(f"the record of {name} cannot be judged ({kind}: {error})") from error


def counted(rows: list[Judged]) -> str:
    """Say how many claims have which verdict."""
    words = [verdict.word for row in rows for verdict in row.verdicts if verdict.conditions]
    return ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(sorted(words)))
