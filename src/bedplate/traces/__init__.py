"""Traces of turns: the names in them, the sink that keeps them, the tracer that writes them, and queries.

Goes in: spans over OTLP. Comes out: segments, summaries, trees. It does not know the gateway. Import from the modules:
`emit` (GatewayTracer), `query`, `render`, `redact`, `sink`; nothing is imported here, so that the CLI starts fast.
"""
