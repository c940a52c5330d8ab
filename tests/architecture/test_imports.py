# SPDX-License-Identifier: MIT
"""Who may import whom (docs/ARCHITECTURE.md, "Import direction"), read from the syntax trees."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import pytest

from tests.architecture.sources import PACKAGES, ROOT, Import, imports_of, name_of, python_files


@dataclass(frozen=True)
class Rule:
    """What a file may import besides the standard library. `lazy` names may stand inside functions only."""

    allowed: tuple[str, ...]
    lazy: tuple[str, ...] = ()


CORE = ("numpy", "gscodec.format", "gscodec.kernels")
FORMAT = Rule(("numpy", "constriction", "gscodec.format"))
KERNELS = Rule(("numpy", "gscodec.kernels"), lazy=("gscodec.kernels",))
KERNELS_TORCH = Rule(("numpy", "torch", "gscodec.kernels"))
KERNELS_GPU = Rule(("numpy", "torch", "triton", "gscodec.kernels"), lazy=("tinycudann",))
VIDEO = Rule(("numpy", "av", "gscodec.format", "gscodec_cli.errors", "gscodec_cli.output", "gscodec_cli.video"))
METRICS = Rule(("numpy", "gscodec_cli.errors", "gscodec_cli.metrics"), lazy=("torch", "pytorch_msssim"))
DECODER = Rule(
    (*CORE, *(f"gscodec_cli.{part}" for part in ("errors", "interrupts", "video", "decoder"))), lazy=("torch", "fsspec")
)
PARTS = ("errors", "output", "video", "decoder", "metrics", "verbs")
PROGRAM = tuple(f"gscodec_cli.{part}" for part in PARTS)
VERBS = Rule((*CORE, *PROGRAM, "av", "click", "rich"))
ENCODE_VERB = Rule((*VERBS.allowed, "gscodec_cli.encoder"), lazy=("torch",))
ENCODER = Rule(
    (*DECODER.allowed, "torch", "threadpoolctl", "av", "rich", "gscodec_cli.metrics", "gscodec_cli.encoder"),
    lazy=("distributed",),
)
FLOW = Rule((*ENCODER.allowed, "cv2"))
MAIN = Rule((*VERBS.allowed, "gscodec_cli.main", "gscodec_cli.interrupts"), lazy=("gscodec_cli.verbs",))
START = Rule(("gscodec_cli.interrupts",), lazy=("gscodec_cli.main",))
ROOT_FILES = Rule((*CORE, *PROGRAM))

# The longest matching path decides.
RULES = {
    "format/": FORMAT,
    "kernels/": KERNELS,
    "kernels/autograd.py": KERNELS_TORCH,
    "kernels/torch_ref.py": KERNELS_TORCH,
    "kernels/triton/": KERNELS_GPU,
    "gscodec_cli/": ROOT_FILES,
    "gscodec_cli/main.py": MAIN,
    "gscodec_cli/__main__.py": START,
    "gscodec_cli/video/": VIDEO,
    "gscodec_cli/metrics/": METRICS,
    "gscodec_cli/decoder/": DECODER,
    "gscodec_cli/verbs/": VERBS,
    "gscodec_cli/verbs/encode.py": ENCODE_VERB,
    "gscodec_cli/encoder/": ENCODER,
    "gscodec_cli/encoder/flow.py": FLOW,
    "samples/minimal_decoder.py": Rule(("numpy",)),
    "samples/make_samples.py": Rule(("numpy", "av")),
}
# Never imported by anyone: code in data, and the folders by their bare names.
FORBIDDEN = ("pickle", "marshal", "shelve", "format", "kernels")


def rule_of(name: str) -> Rule:
    """The rule with the longest path that matches a file's name."""
    return RULES[
        max((path for path in RULES if name == path or (path.endswith("/") and name.startswith(path))), key=len)
    ]


def is_below(module: str, names: tuple[str, ...]) -> bool:
    """Whether a module is one of the names or lies below one."""
    return any(module == name or module.startswith(name + ".") for name in names)


def complaint(item: Import, rule: Rule) -> str | None:
    """Why an import breaks a rule, or None."""
    top = item.module.split(".")[0]
    if top in FORBIDDEN:
        return f"{item.module} is never imported"
    if top in sys.stdlib_module_names or is_below(item.module, rule.allowed):
        return None
    if is_below(item.module, rule.lazy):
        return None if not item.at_import else f"{item.module} may be imported inside a function only"
    return f"{item.module} is not among {', '.join(rule.allowed)}"


CHECKED = [*python_files(*PACKAGES), *python_files("samples")]


@pytest.mark.parametrize("path", CHECKED, ids=name_of)
def test_imports_follow_the_rules(path):
    rule = rule_of(name_of(path))
    wrong = [f"line {item.line}: {why}" for item in imports_of(path) if (why := complaint(item, rule))]
    assert not wrong, f"{name_of(path)}: " + "; ".join(wrong)


def test_every_rule_names_something_that_exists():
    missing = [path for path in RULES if not (ROOT / path).exists()]
    assert not missing, f"rules for paths that are not there: {missing}"


@pytest.mark.parametrize(
    ("module", "rule"),
    [
        ("torch", FORMAT),
        ("gscodec.kernels.registry", FORMAT),
        ("gscodec.format.records", KERNELS),
        ("torch", KERNELS),
        ("gscodec.format.records", KERNELS_GPU),
        ("gscodec_cli.encoder.fit", DECODER),
        ("gscodec_cli.encoder", VERBS),
        ("gscodec_cli.verbs.encode", ENCODER),
        ("pickle", ENCODER),
        ("kernels.registry", DECODER),
    ],
)
def test_the_rules_catch_what_they_are_for(module, rule):
    assert complaint(Import(module, 1, True), rule)


def test_a_lazy_import_is_told_from_one_at_import():
    assert complaint(Import("torch", 1, True), DECODER)
    assert complaint(Import("torch", 1, False), DECODER) is None
