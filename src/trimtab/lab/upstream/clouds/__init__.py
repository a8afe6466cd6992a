"""Clouds as upstreams, and the authorities that they get their tokens from: ``converse`` and ``bedrock`` are Amazon's, ``vertex`` is
Google's; ``frames`` wraps, ``signature`` checks, ``tokens`` grants. Beside them ``replicate``.
"""
