"""How two systems are compared: ``[compare]`` of a suite or of gate rules, or the command line."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

# sacrebleu's defaults (sacrebleu/significance.py), so that its resamples and trials are ours.
RESAMPLES = 1_000
TRIALS = 10_000
# Differences under these are real at best, never worth a verdict. Defaults, to be set by those who
# use them: what people notice differs by metric (Kocmi et al. 2024, arXiv 2401.06760).
_MIN_EFFECT = {
    **dict.fromkeys(("bleu", "chrf", "chrf++", "ter"), 0.5),
    **dict.fromkeys(("spbleu-flores101", "spbleu-flores200"), 0.5),
    **dict.fromkeys(("comet", "comet22", "cometkiwi22", "xcomet-xl"), 0.005),
}
_RATE_EFFECT = 0.01


class Method(BaseModel):
    """``[compare]``: how two systems are compared."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    trials: int = Field(default=TRIALS, ge=1)
    """Randomisation trials a test."""
    resamples: int = Field(default=RESAMPLES, ge=100)
    """Bootstrap resamples an interval."""
    cluster: Literal["document", "none"] = "document"
    """What is drawn and swapped as a whole: documents where they are known, or each segment."""
    min_effect: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = {}
    """Differences under which a real one is no verdict, by metric: ``{"chrf++" = 1.0}``."""
    strict: bool = False
    """Call systems incomparable whose settings differ or are unknown."""

    @property
    def untested(self) -> "Method":
        """The same without tests: 0 trials, which nobody can ask for. Intervals are not touched."""
        return self.model_copy(update={"trials": 0})

    def minimum_effect(self, metric: str) -> float:
        """Return the difference under which a real one is not called improved or regressed."""
        return self.min_effect.get(metric, minimum_effect(metric))


def minimum_effect(metric: str) -> float:
    """Return the default minimum effect of a metric."""
    # On what scale a metric of the user's own goes, nobody but the user knows.
    return _MIN_EFFECT.get(metric, 0.0 if ".py:" in metric else _RATE_EFFECT)
