"""Keeps what schemathesis makes up from reaching out of this machine."""

import schemathesis


@schemathesis.hook
def map_body(context, body):
    """Webhooks are told at a name that leads nowhere (RFC 6761)."""
    is_webhook = context.operation is not None and context.operation.path == "/api/v1/webhooks"
    if is_webhook and isinstance(body, dict) and str(body.get("url", "")).startswith("https://"):
        return {**body, "url": "https://receiver.invalid/lectern"}
    return body
