"""REST, WebSocket and pages."""
