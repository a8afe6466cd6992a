"""Tier 1 on one's own machine: find and verify weights, serve them from child processes, find servers that already run.

It knows nothing about requests, routing or HTTP: who wants to know whether a server is well hands in a callable that asks it.
"""
