"""Show what a run is, or what a file with a network holds.

FILE is a checkpoint of this project, or one that others have published: a .ckpt, a .safetensors
with its config.json beside it, or a folder with both. Nothing in it is run.

Example:
    minuddm info
    minuddm info model.safetensors --length 128
"""

import argparse
from pathlib import Path

from minuddm.checkpoint import checkpoint_metadata, fields_of, load_model, step_of
from minuddm.command import arguments, run
from minuddm.command.arguments import Parser
from minuddm.command.course import COLUMNS, read_log
from minuddm.command.display import plain
from minuddm.command.run import Run
from minuddm.command.subject import take_subject
from minuddm.published import load_published
from minuddm.transformer import Transformer
from minuddm.weights import number_of_weights

_MOST = 300  # characters of what a checkpoint says of itself


def options(parser: Parser) -> None:
    """Add what the command takes."""
    whole = arguments.whole
    take_subject(parser)
    parser.add_argument(
        "--length", type=whole(1), help="of a published network whose configuration has none"
    )
    parser.add_argument(
        "--mask", type=whole(0), help="the token that a published masked network reads as MASK"
    )


def execute(args: argparse.Namespace) -> None:
    """Print a line for each thing there is to know."""
    path: Path = args.run
    if run.is_run(path):
        said = _of_run(run.open_run(path))
    elif path == run.DEFAULT and not path.exists():
        raise ValueError(f"{path} does not exist; minuddm train makes it, or name another")
    else:
        said = _of_file(path, args.length, args.mask)
    width = max(map(len, said))
    for name, what in said.items():
        print(f"{name:{width}}  {what}")


def _of_run(of: Run) -> dict[str, str]:
    settings, unit, text = of.settings, of.vocabulary.unit.name, of.text
    said = {
        "run": str(of.folder),
        "text": f"{text['name']}, SHA-256 {text['sha256']:.16}…",
        "sequences": f"{len(of.training):,} of {settings.length} {unit}, and {len(of.held_out):,} "
        "held out" + (", a line each" if settings.lines else ""),
        "vocabulary": f"{of.vocabulary.V:,} {unit}",
        "process": settings.process,
    }
    try:
        network = of.network()
    except ValueError as error:
        return said | {"network": str(error)}
    header = checkpoint_metadata(of.checkpoint)
    training = f"batch {settings.batch}, rate {settings.lr:g}, seed {settings.seed}"
    said |= {"network": _size(network)}
    taken = step_of(header, of.checkpoint)
    said |= {"training": f"{taken} of {settings.steps:,} steps, {training}"}
    return said | _of_log(of)


def _of_log(of: Run) -> dict[str, str]:
    """Return what the last look saw, if the log has one."""
    rows = read_log(of)
    if not rows:
        return {}
    last = dict(zip(COLUMNS, rows[-1], strict=True))
    return {
        "loss": f"{last['loss']} nats a token before step {last['step']}",
        "held out": f"{last['held_out']} ± {last['held_out_error']} nats a token (bound)",
        "time": f"{float(last['seconds']):,.0f} s",
    }


def _of_file(path: Path, length: int | None, mask: int | None) -> dict[str, str]:
    if path.is_dir() and not (path / "config.json").exists():
        raise ValueError(f"{path} holds neither a run nor a published network with its config.json")
    if path.is_dir() or path.suffix == ".ckpt" or path.with_name("config.json").exists():
        network = load_published(path, length=length, mask=mask)
        process = "masked" if network.config.states > network.config.vocab else "uniform"
        return {"file": f"{path}, published", "network": _size(network), "process": process}
    try:
        network, header = load_model(path), checkpoint_metadata(path)
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist") from None
    training = fields_of(header, "training", path)
    fields = ", ".join(f"{name} {value}" for name, value in training.items())
    step = str(step_of(header, path)) if "step" in header else "unknown"
    said = {
        "file": f"{path}, a checkpoint of this project",
        "network": _size(network),
        "process": header.get("process", "uniform"),
        "training": f"step {step}; {fields}",
        "sequences": f"SHA-256 {header.get('tokens_sha256', 'unknown'):.16}…",
    }
    said = {name: plain(text) for name, text in said.items()}
    theirs = header.keys() - {"format", "model", "step", "sha256", "tokens_sha256", *said}
    return said | {name: plain(header[name])[:_MOST] for name in sorted(theirs)}


def _size(network: Transformer) -> str:
    config = network.config
    return (
        f"{number_of_weights(config):,} weights: width {config.width}, {config.blocks} blocks of "
        f"{config.heads} heads; V = {config.vocab:,}, L = {config.length}"
    )
