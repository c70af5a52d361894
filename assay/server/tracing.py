"""Traces of requests, where OpenTelemetry is installed and told where to send them."""

from __future__ import annotations

import os

from fastapi import FastAPI

from assay.core.fault import MISUSED, Fault

# OpenTelemetry's own variable: the collector's address.
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


def trace(app: FastAPI) -> None:
    """Send a span of each request to the collector that OTEL_EXPORTER_OTLP_ENDPOINT names, if it does.

    Raises:
        Fault: the variable is set, and the extra `traces` is not installed.
    """
    if not os.environ.get(ENDPOINT):
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError as missing:
        raise Fault(
            f"{ENDPOINT} is set, and traces need {missing.name}: pip install 'assay[traces]', or unset it.",
            MISUSED,
        ) from missing
    provider = TracerProvider(resource=Resource.create({"service.name": "assay"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    # Who asks for health and figures asks often.
    FastAPIInstrumentor.instrument_app(app, tracer_provider=provider, excluded_urls="health,ready,metrics")
