"""Every type that is written to disk or printed as JSON.

Field order is the order in the files. A field that does not apply is null; a value that does not
exist is null with a status, never 0.
"""

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

SCHEMA_VERSION = 1

Status = Literal[
    "ok", "partial", "missing", "failed", "not_covered", "not_in_benchmark", "unscored", "stale"
]
Verdict = Literal[
    "improved",
    "leans_up",
    "no_change",
    "below_minimum_effect",
    "leans_down",
    "regressed",
    "incomparable",
    "missing",
]


class Record(BaseModel):
    """Base of all records: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class File(Record):
    """Base of all records that are a file of their own."""

    schema_version: int = SCHEMA_VERSION
    """Version of the file's shape."""


class ModelFile(File):
    """``model.json``: what a system is."""

    name: str
    """Name of the system."""
    kind: Literal["imported", "checkpoint", "echo"]
    """Where its outputs come from."""
    digest: str
    """Digest of ``covers``; its first 8 digits are ``model8``."""
    covers: dict[str, Any]
    """What the digest covers: a checkpoint's files with their SHA-256, or a system's name."""
    series: str | None = None
    """Line of checkpoints that the system belongs to."""
    step: int | None = None
    """Training step within the series."""
    tokens: int | None = None
    """Training tokens seen."""

    @property
    def model8(self) -> str:
        """First 8 digits of the digest."""
        return self.digest[:8]


class Settings(Record):
    """How the outputs were made; null is unknown, as for every imported system."""

    prompt_set: str | None = None
    """Named wording of the prompts."""
    prompt_set_digest: str | None = None
    """Digest of its words, stops and form of examples: what a name stands for may change."""
    num_fewshot: int | None = None
    """Examples in the prompt."""
    gen_kwargs: dict[str, Any] | None = None
    """Decoding, in lm-eval's words."""
    chat_template: str | None = None
    """Digest of the chat template, or ``off``."""
    stop: list[str] | None = None
    """Texts that end an answer beside the task's own: those of a model's preset."""
    system_instruction: str | None = None
    """System message."""
    fewshot_as_multiturn: bool | None = None
    """Whether each example was a turn of its own."""
    backend: str | None = None
    """Engine."""
    dtype: str | None = None
    """Number format of the weights in the engine."""
    model_args: dict[str, Any] | None = None
    """Engine arguments that may move a number: not the device, not the batch size."""
    seed: int | None = None
    """Seed of sampling and few-shot choice."""


class SettingsFile(File):
    """``settings.json``."""

    digest: str
    """Digest of the settings; its first 8 digits are ``settings8``."""
    settings: Settings
    """The settings themselves."""
    versions: dict[str, str]
    """Packages at the time, disclosed and not part of the digest."""


class Response(Record):
    """One answer in the response log."""

    request_id: str
    """Digest of what was asked, which needs no model."""
    key: str
    """model8 and settings8 of who answered, ``model8/settings8``."""
    prompt_digest: str | None
    """Digest of the prompt's text; null where the prompt is unknown."""
    answer: str
    """The raw answer."""
    finish_reason: str | None = None
    """Why generation stopped: ``stop``, ``length``; ``too_long``: the prompt was not asked because
    it exceeds the context; null where unknown, and for log-likelihoods."""
    prompt_tokens: int | None = None
    """Tokens of the prompt."""
    output_tokens: int | None = None
    """Tokens of the answer."""
    spans_join: bool | None = None
    """Whether a token spans the join of context and continuation; null for texts."""


class PlannedTask(Record):
    """One task of a cell: what is to be answered, and what came back."""

    task: str
    """Name of the task."""
    family: str
    """Benchmark family."""
    src_lang: str | None
    """Source language of a translation task."""
    tgt_lang: str | None
    """Target language of a translation task."""
    lang: str | None
    """Language of any other task."""
    n: int
    """Number of documents."""
    answers_digest: str | None
    """Digest of the answers in the order of the requests; null until all are there."""
    origin: str | None = None
    """File name that the answers were imported from."""
    inputs_digest: str | None = None
    """Digest of what a run's requests are made from: task files, data files, versions."""
    n_requests: int | None = None
    """Requests of its documents; null until all are answered, and for imported outputs."""
    n_too_long: int | None = None
    """Requests with a prompt that exceeds the context; null where unknown."""
    n_spanning: int | None = None
    """Log-likelihood requests with a token that spans the join; null where unknown."""


class Plan(File):
    """``plan.json``: what a system has planned under one selection."""

    tasks: dict[str, PlannedTask]
    """Planned tasks by name."""
    records: dict[str, int] = {}
    """Good records of each response file of a run when its answers were last looked at."""


class Score(Record):
    """One row of scores."""

    system: str
    """Name of the system."""
    model: str
    """model8 of the system."""
    settings: str
    """settings8 of the cell."""
    series: str | None = None
    """Line of checkpoints."""
    step: int | None = None
    """Training step."""
    task: str
    """Name of the task."""
    family: str
    """Benchmark family."""
    src_lang: str | None
    """Source language of a translation task."""
    tgt_lang: str | None
    """Target language of a translation task."""
    lang: str | None
    """Language of any other task."""
    selection: str
    """``all``, or the declared subset."""
    num_fewshot: int | None
    """Examples in the prompt; null where unknown."""
    filter: str | None = None
    """lm-eval filter or post-processing step that the outputs went through."""
    metric: str | None
    """Name of the metric; null in a row that only says that nothing is scored."""
    signature: str | None
    """What exactly was computed."""
    value: float | None
    """The score; null with a status that says why."""
    stderr: float | None = None
    """Bootstrap standard error of the score."""
    ci_low: float | None = None
    """Lower end of the 95 % bootstrap interval of the score."""
    ci_high: float | None = None
    """Upper end of it."""
    higher_is_better: bool | None
    """Direction of the metric; null where neither is."""
    n: int
    """Number of documents."""
    n_unscored: int = 0
    """Documents that could not be scored."""
    documents_digest: str | None
    """Digest of sources and of the references that were used."""
    settings_digest: str
    """Digest of the settings."""
    status: Status
    """Whether the value stands."""
    reason: str | None = None
    """Why it does not."""

    identity: ClassVar[tuple[str, ...]] = ("task", "metric", "signature")
    """A row of one system is identified by these."""


class ScoresFile(File):
    """``scores.json``."""

    rows: list[Score]
    """One row a task, metric and signature."""


class ScoredTask(Record):
    """What the scores of one task were computed from."""

    answers_digest: str
    """Digest of the answers in document order."""
    sources_digest: str
    """Digest of the sources."""
    references: dict[str, str]
    """Digest of each reference by name."""
    documents_digest: str | None
    """Digest of the document ids that segments belong to; null where the benchmark has none."""
    n_empty: int
    """Scored outputs with nothing but white space."""
    n_unscored: int = 0
    """Documents whose prompt exceeds the model's context."""
    data_files: dict[str, str]
    """SHA-256 of each benchmark file by its path below the data folder."""


class Job(Record):
    """One task under one metric and set of references."""

    task: str
    """Name of the task."""
    metric: str
    """The metric as written, with options: ``bleu:tokenize=char``."""
    references: tuple[str, ...]
    """Names of the references."""


class Manifest(File):
    """``manifest.json``: written last; only what it names is whole."""

    inputs_digest: str
    """Digest of everything that the files below were derived from."""
    tasks: dict[str, ScoredTask]
    """Inputs of each task."""
    jobs: list[Job]
    """What the scores hold, and shall hold when they are made again."""
    files: dict[str, str]
    """SHA-256 of each derived file in the folder."""
    versions: dict[str, str]
    """Packages that computed them."""


class Comparison(Record):
    """One row of ``compare``: one task under one metric, candidate against baseline."""

    task: str
    """Name of the task."""
    family: str
    """Benchmark family."""
    src_lang: str | None
    """Source language of a translation task."""
    tgt_lang: str | None
    """Target language of a translation task."""
    lang: str | None
    """Language of any other task."""
    metric: str
    """Name of the metric."""
    signature: str | None
    """What exactly was computed, the same on both sides."""
    candidate: str
    """System that is judged."""
    baseline: str
    """System that it is held against."""
    candidate_value: float | None = None
    """Score of the candidate."""
    baseline_value: float | None = None
    """Score of the baseline."""
    delta: float | None = None
    """Candidate minus baseline."""
    ci_low: float | None = None
    """Lower end of the 95 % paired-bootstrap interval of the difference."""
    ci_high: float | None = None
    """Upper end of it."""
    stderr: float | None = None
    """Standard error of the difference: the deviation of its resamples."""
    simultaneous_ci_low: float | None = None
    """Lower end of an interval that holds for the whole family of tests together (Bonferroni)."""
    simultaneous_ci_high: float | None = None
    """Upper end of it."""
    p_value: float | None = None
    """Paired approximate randomisation."""
    p_is_bound: bool | None = None
    """Whether no trial reached the difference, so that p is at most what is written."""
    p_adjusted: float | None = None
    """Holm over the family of tests: this comparison and metric, all its tasks."""
    detectable_effect: float | None = None
    """Difference that would be found with 80 % power at the corrected level."""
    minimum_effect: float | None = None
    """Difference under which a real one is not called improved or regressed."""
    collapsed: int | None = None
    """Segments whose chrF++ is 30 or more under the baseline's; null where a side has none."""
    n: int | None = None
    """Number of segments or questions."""
    clusters: int | None = None
    """Documents that were drawn and swapped as wholes; null where it was each segment."""
    verdict: Verdict
    """What the numbers allow to be said."""
    settings_diff: list[str]
    """Settings that differ or are unknown on a side."""
    reason: str | None = None
    """Why there is no number."""


class MacroRow(Record):
    """Mean difference over the tasks of a group."""

    group: str
    """``family side``, and what else it was grouped by: ``flores200 eng_Latn-x script:Latn``."""
    by: str
    """What it was grouped by: suite, side, language-family, script, speakers or xlmr."""
    tasks: Literal["pair", "common"] = "pair"
    """All tasks that this pair finished, or those that every pair compared has finished."""
    metric: str
    """Name of the metric."""
    candidate: str
    """System that is judged."""
    baseline: str
    """System that it is held against."""
    delta: float | None = None
    """Mean of the differences; null where fewer than five are there."""
    ci_low: float | None = None
    """95 % interval for these languages: only documents or segments are resampled."""
    ci_high: float | None = None
    """Upper end of it."""
    population_ci_low: float | None = None
    """95 % interval for languages like these: languages, then documents or segments."""
    population_ci_high: float | None = None
    """Upper end of it."""
    clustered: bool | None = None
    """Whether documents were resampled in every member; null where there is no interval."""
    n: int
    """Tasks that both sides finished."""
    n_expected: int
    """Tasks that at least one side planned."""
    weights: str | None = None
    """What the weighted mean is weighted by: ``speakers``, or a file."""
    weighted_delta: float | None = None
    """Weighted mean of the differences; null without weights."""
    weighted_ci_low: float | None = None
    """95 % interval of it for these languages."""
    weighted_ci_high: float | None = None
    """Upper end of it."""
    n_weighted: int | None = None
    """Tasks whose language has a weight; the others are left out of the weighted mean."""
    effective_n: float | None = None
    """Equally weighted tasks that would be as many: (sum w)^2 / sum w^2 (Kish 1965)."""
    members: list[str]
    """Tasks with a difference, where they are too few for a mean."""
    reason: str | None = None
    """Why a number is missing."""
