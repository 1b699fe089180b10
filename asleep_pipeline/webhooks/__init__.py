"""The push path: a durable inbox for webhook events, and what serves it."""
