"""All readers over one request, each with its careful value for when it fails."""

from __future__ import annotations

from time import perf_counter_ns

from trimtab.core.catalog import Capability
from trimtab.core.decision import Signals
from trimtab.core.messages import Request
from trimtab.core.zones import Sensitivity
from trimtab.signals import sensitivity
from trimtab.signals.complexity import complexity, excerpt
from trimtab.signals.language import language, words_of
from trimtab.signals.sensitivity import Found
from trimtab.signals.shape import EXPECTED_OUTPUT, Shape, input_tokens, output_tokens, survey
from trimtab.signals.tokens import NAME, encoder, guess_tokens

_UNSURE = 0.5


def warm() -> None:
    """Build what the first request would otherwise wait for, some 150 ms: the tokeniser, the patterns, the table of letters."""
    encoder().encode_ordinary("warm")
    sensitivity.scan(("+44 20 7946 0958 é",))


def sense(
    request: Request,
    labels: frozenset[Sensitivity] = frozenset(),
    *,
    lower: frozenset[Sensitivity] = frozenset(),
    usual_output: int = EXPECTED_OUTPUT,
) -> Signals:
    """Read ``request``. Never raises: a reader that fails gives its careful value, and the evidence says so.

    ``labels`` are the caller's own. They add to what was found and take nothing away; ``public`` is known by label alone, and without
    any label a request in which nothing was found is ``internal``. ``lower`` are classes that somebody with the right to do so takes away
    from what was found, and what was taken is told. ``usual_output`` is the length in tokens of a plain answer
    that the client does not limit.
    """
    at = [perf_counter_ns()]
    evidence: list[tuple[str, str]] = []
    found = _sensitivity(request, labels, evidence)
    lowered = (found & lower) - labels
    carried = found - lowered or frozenset({Sensitivity.INTERNAL})
    if lowered:
        evidence.append(("lowered", ", ".join(sorted(lowered))))
    at.append(perf_counter_ns())
    shape = _shape(request, evidence)
    tokens, exact = _tokens(request, shape, evidence)
    at.append(perf_counter_ns())
    tongue, hardness = _words(shape, evidence)
    at.append(perf_counter_ns())
    return Signals(
        input_tokens=tokens,
        tokens_exact=exact,
        output_tokens=output_tokens(request, shape.needs, usual_output),
        needs=shape.needs,
        language=tongue,
        turns=shape.turns,
        complexity=hardness,
        sensitivity=carried,
        lowered=lowered,
        reaches=shape.reaches,
        evidence=tuple(evidence),
        took_us=tuple(
            (name, (after - before) // 1000)
            for name, before, after in zip(("sensitivity", "shape", "complexity"), at, at[1:], strict=False)
        ),
    )


def _sensitivity(request: Request, labels: frozenset[Sensitivity], evidence: list[tuple[str, str]]) -> frozenset[Sensitivity]:
    try:
        found = sensitivity.read_request(request)
    except Exception as error:
        found = Found(frozenset({Sensitivity.UNREADABLE}), (), (f"the reader failed ({type(error).__name__})",))
    said = [f"{kind} x{count}" for kind, count in found.counts]
    said += [f"not readable: {problem}" for problem in found.problems]
    said += [f"label {label}" for label in sorted(labels)]
    evidence.append(("sensitivity", ", ".join(said) or "nothing found"))
    return found.classes | labels or frozenset({Sensitivity.INTERNAL})


def _shape(request: Request, evidence: list[tuple[str, str]]) -> Shape:
    try:
        shape = survey(request)
    except Exception as error:
        evidence.append(("shape", f"the reader failed ({type(error).__name__}): every capability is assumed to be needed"))
        return Shape(needs=frozenset(Capability), reaches=("unknown",))
    if shape.needs:
        evidence.append(("needs", ", ".join(sorted(shape.needs))))
    if shape.reaches:
        evidence.append(("reaches", f"others, by {', '.join(shape.reaches)}"))
    return shape


def _tokens(request: Request, shape: Shape, evidence: list[tuple[str, str]]) -> tuple[int, bool]:
    try:
        tokens, exact = input_tokens(request, shape)
    except Exception as error:
        evidence.append(("tokens", f"the reader failed ({type(error).__name__}): a third of the bytes"))
        return guess_tokens(max(len(request.native), 4 * len(shape.text))), False
    evidence.append(
        ("tokens", f"counted with the tokeniser of {NAME}, without a chat template" if exact else "estimated from a sample")
    )
    return tokens, exact


def _words(shape: Shape, evidence: list[tuple[str, str]]) -> tuple[str, float]:
    """Language and complexity: both from the words of the question."""
    try:
        text = excerpt(shape.question)
        words = words_of(text)
        tongue = language(text, frozenset(words))
        hardness, parts = complexity(text, words, turns=shape.turns, tools=Capability.TOOLS in shape.needs)
    except Exception as error:
        evidence.append(("complexity", f"the reader failed ({type(error).__name__}): {_UNSURE}"))
        return "und", _UNSURE
    evidence.append(("complexity", ", ".join(f"{name} {value:+.2f}" for name, value in parts.items()) or "no feature"))
    return tongue, hardness
