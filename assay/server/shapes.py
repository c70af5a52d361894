"""The shapes of requests."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from assay.search.results import MOST_RESULTS, Mode

KeyValue = str | int
Reference = Annotated[str, Field(max_length=300)]


_AS_OF = "The instant in ISO 8601, UTC where no offset is given; now without it."


class FeaturesRequest(BaseModel):
    """One entity, and the feature views wanted of it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    user_id: KeyValue | None = Field(
        None, description="The entity's key, where each view asked for has one key alone."
    )
    keys: dict[str, KeyValue] | None = Field(
        None, description="The entity's keys by name, in place of user_id."
    )
    feature_groups: list[Reference] = Field(
        min_length=1,
        max_length=100,
        description="Names of feature views, `view:feature` for one feature alone.",
    )
    inputs: dict[str, Any] = Field({}, description="What derived features need with the request, by name.")
    as_of: str | None = Field(None, description=_AS_OF)


class Served(BaseModel):
    """Features that were served for a prediction."""

    model_config = ConfigDict(extra="forbid", strict=True)

    feature_view: str
    keys: dict[str, KeyValue]
    as_of: str = Field(description="The instant they were of: `timestamp` of the answer.")
    features: dict[str, Any]
    inputs: dict[str, Any] = {}


class Prediction(BaseModel):
    """What a model predicted, and by what."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: str = Field(
        min_length=1, max_length=200, description="The model's name; another version, another name."
    )
    label: str = Field(
        min_length=1, max_length=200, description="The label's model, such as `lbl_<outcome>`."
    )
    label_id: str = Field(min_length=1, max_length=500, description="Its id in the label's model.")
    score: float = Field(ge=0, le=1, allow_inf_nan=False, description="Probability that the outcome is true.")
    threshold: float = Field(0.5, ge=0, le=1, description="Score from which on it is taken for true.")
    prediction_id: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="So that it can be sent twice; made up without it.",
    )
    predicted_at: str | None = Field(None, description=_AS_OF)
    request_id: str | None = Field(None, max_length=200, description="X-Request-ID of the features' answer.")
    run_id: str | None = Field(
        None, min_length=1, max_length=200, description="The run that trained the model, such as MLflow's."
    )
    training_version: str | None = Field(
        None, min_length=1, max_length=300, description="The version of a training set that it trained on."
    )
    served: list[Served] | None = Field(None, max_length=100, description="Features that were served for it.")


class AssignmentRequest(BaseModel):
    """An entity that an experiment is tried on."""

    model_config = ConfigDict(extra="forbid", strict=True)

    entity_id: Annotated[str, Field(min_length=1, max_length=500)] | int = Field(
        description="The entity's id, as rows of the metrics' models have it."
    )
    exposed: bool = Field(True, description="Whether the entity gets to see the arm now, which is logged.")
    exposure_id: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="So that it can be sent twice; made up without it.",
    )
    request_id: str | None = Field(None, max_length=200, description="X-Request-ID of what it is shown with.")


class OnlineFeaturesRequest(BaseModel):
    """Entities by column, and the features wanted of each, as Feast's clients ask; other words are let be."""

    model_config = ConfigDict(extra="ignore", strict=True)

    entities: dict[str, list[Any]] = Field(
        description="For each key, and request input, a value for each entity."
    )
    features: list[Reference] | None = Field(
        None, max_length=1000, description="Features, as `view:feature`."
    )
    feature_service: Reference | None = Field(
        None, description="A training set, for the features that it trains on; or a feature view, for all."
    )
    full_feature_names: bool = Field(False, description="Whether names are `view__feature`.")
    as_of: str | None = Field(None, description=_AS_OF)


class SearchRequest(BaseModel):
    """What to search for, and among which chunks of documents."""

    model_config = ConfigDict(extra="forbid", strict=True)

    query: str = Field(description="Words, or a question; at most 1,000 words.")
    k: int = Field(10, ge=1, le=MOST_RESULTS, description="How many chunks at most.")
    mode: Mode = Field("hybrid", description="Rank by words (text), by meaning (vector), or by both.")
    filter: str | None = Field(
        None, description="Which chunks, such as `tags contains 'x' and source = 'y'`."
    )
    as_of: str | None = Field(None, description="Answer as of this instant of the past; now without it.")


class DocumentRequest(BaseModel):
    """A document, and from which of its chunks on it is wanted."""

    model_config = ConfigDict(extra="forbid", strict=True)

    document_id: str = Field(description="The document, as a result names it.")
    first_chunk: int = Field(
        1, ge=1, le=1_000_000_000, description="The number of the first chunk wanted; 200 follow at most."
    )
    as_of: str | None = Field(None, description="As it was at this instant of the past; now without it.")
