"""Requests to models, forwarded: route, limit, budget, cache, count; knows no document and no answerer."""
