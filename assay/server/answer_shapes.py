"""The shapes of answers, for the OpenAPI document: declared, not checked, which would take longer."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

Status = Literal["PRESENT", "NULL_VALUE", "NOT_FOUND", "OUTSIDE_MAX_AGE"]


class StoreAnswer(BaseModel):
    """What the store holds of a view."""

    run_id: str = Field(description="The dbt run that built it.")
    known_until: str | None = Field(description="When something last arrived for the view; UTC.")
    age_seconds: float | None = Field(description="How long ago that is.")


class FeaturesAnswer(BaseModel):
    """Features of one entity."""

    features: dict[str, Any] = Field(description="Values by name; by `view__feature` where views share one.")
    timestamp: str = Field(description="The instant they are of; UTC.")
    cache_hit: bool = Field(description="Whether every view knows the entity.")
    statuses: dict[str, Status] = Field(description="How each value came about.")
    defaults: list[str] = Field(description="Features whose value is the declared default.")
    left_out: dict[str, dict[str, list[str]]] = Field(
        description="By view: features that its name stands for, and the request inputs they would need."
    )
    event_timestamps: dict[str, str | None] = Field(
        description="When something last arrived of the entity, by view; UTC."
    )
    store: dict[str, StoreAnswer] = Field(description="What the store holds, by view.")


class Metadata(BaseModel):
    """What the results are of."""

    feature_names: list[str] = Field(description="The name of each result: keys, then features.")
    as_of: str = Field(description="The instant they are of; UTC.")
    store: dict[str, StoreAnswer] = Field(description="What the store holds, by view.")


class Result(BaseModel):
    """A key or a feature, with a value for each entity."""

    values: list[Any]
    statuses: list[Status]
    event_timestamps: list[str]
    defaults: list[bool] | None = Field(
        None, description="Whether values are the declared default; of features."
    )


class OnlineFeaturesAnswer(BaseModel):
    """Features of many entities by column, in the form of Feast's feature server."""

    metadata: Metadata
    results: list[Result]


class PredictionAnswer(BaseModel):
    """The prediction is kept."""

    prediction_id: str


class AssignmentAnswer(BaseModel):
    """The arm of an entity."""

    experiment: str
    entity_id: str
    arm: str | None = Field(description="The arm; null where the entity takes no part.")
    reason: Literal["not_started", "ended", "outside_group", "arm_removed"] | None = Field(
        description="Why it takes no part."
    )
    exposure_id: str | None = Field(description="The exposure that was logged; null where none was.")


class Column(BaseModel):
    """A key, a column, a derived feature or a request input."""

    name: str
    type: str
    description: str
    default: str | None = Field(None, description="SQL of the value where there is none.")
    expression: str | None = Field(None, description="SQL of a derived feature.")
    personal: bool | None = Field(None, description="True where values are personal data.")


class FeatureViewAnswer(BaseModel):
    """What a feature view declares, and what the store holds of it."""

    name: str
    description: str
    entity: str
    owner: str | None
    max_age: str | None
    keys: list[Column]
    columns: list[Column]
    derived: list[Column]
    inputs: list[Column]
    unique_id: str = Field(description="The model's id in dbt.")
    run_id: str
    known_until: str | None
    synced_at: str | None


class OneFeatureViewAnswer(FeatureViewAnswer):
    """The same, with an entity to try."""

    sample: list[str] | None = Field(description="The keys of some entity.")


class FoundChunk(BaseModel):
    """A chunk of a document that was found."""

    document_id: str
    chunk_number: int = Field(description="Its place in the document, from 1.")
    source: str | None
    title: str | None = Field(description="The document's.")
    tags: list[str] = Field(description="The document's.")
    heading_path: str = Field(description="The headings above it, joined by ` > `.")
    start_at: int | None = Field(description="Where it begins in the document's text, in characters.")
    end_at: int | None = Field(description="Where it ends, exclusive.")
    updated_at: str | None = Field(description="When it last arrived that it is so; UTC.")
    valid_from: str = Field(description="Since when it is as it is; UTC.")
    snippet: str = Field(description="The piece of its text that shows why it was found.")
    marks: list[tuple[int, int]] = Field(
        description="Begin and end of words in the snippet that were searched for, in characters."
    )
    score: float = Field(description="By which results are in order.")
    text_score: float | None = Field(description="BM25 of its words; null where they did not bring it.")
    text_rank: int | None = Field(description="Its place among those that words brought, from 1.")
    vector_score: float | None = Field(
        description="Cosine of its vector and the query's; null where vectors did not bring it."
    )
    vector_rank: int | None = Field(description="Its place among those that vectors brought, from 1.")


class SearchAnswer(BaseModel):
    """What was found, the best first."""

    results: list[FoundChunk]
    terms: list[str] = Field(description="Stems of the query's words that were searched for.")
    vector_way: Literal["exact", "hnsw", "ivfpq"] | None = Field(
        description="How vectors were searched; null where they were not."
    )


class ShownChunk(BaseModel):
    """A chunk of a document; it may repeat the end of the one before, as their places tell."""

    chunk_number: int
    heading_path: str
    start_at: int | None
    end_at: int | None
    text: str
    updated_at: str | None
    valid_from: str


class DocumentAnswer(BaseModel):
    """Chunks of a document, in their order."""

    document_id: str
    source: str | None
    title: str | None
    tags: list[str]
    chunks_in_all: int = Field(description="How many chunks it has.")
    chunks: list[ShownChunk]


class HealthAnswer(BaseModel):
    """The server runs."""

    status: Literal["ok"]


class ReadyAnswer(BaseModel):
    """Features can be served."""

    status: Literal["ready"]
    feature_views: int
    known_until: str | None
