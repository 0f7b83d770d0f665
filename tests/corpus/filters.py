"""Filters: a state that is a mean and a covariance."""

import numpy as np

from tinygrad_lstm import cell, exp, log, outer, sqrt


@cell(
    state={"m": "hidden", "P": "hidden, hidden"},
    x="",
    parameters={"A": "hidden, hidden", "q c": "hidden", "r": ""},
    start={"c": "uniform"},
)
def kalman(now, prev, z, p):
    """Kalman's filter (1960) of one measured number; both noises are learned as logarithms."""
    m = p.A @ prev.m
    P = p.A @ prev.P @ p.A.T + exp(p.q) * np.eye(prev.m.shape[0])
    now.innovation = z - p.c @ m
    now.S = p.c @ P @ p.c + exp(p.r)
    now.K = P @ p.c / now.S
    now.m = m + now.K * now.innovation
    now.P = P - outer(now.K, p.c @ P)


@cell(
    state={"m": "hidden", "R": "hidden, hidden"},
    x="",
    parameters={"A": "hidden, hidden", "c": "hidden", "r": ""},
    start={"c": "uniform"},
    loss="nll",
)
def potter(now, prev, z, p):
    """Potter's square-root filter (1963): P = R Rᵀ cannot lose its sign; no process noise."""
    R = p.A @ prev.R
    now.e = z - p.c @ (p.A @ prev.m)
    f = p.c @ R
    now.S = f @ f + exp(p.r)
    now.nll = 0.5 * (log(now.S) + now.e**2 / now.S)
    now.K = R @ f / now.S
    now.m = p.A @ prev.m + now.K * now.e
    now.R = R - outer(now.K, f) / (1 + sqrt(exp(p.r) / now.S))


def covariance(random, shape):
    """A symmetric matrix whose eigenvalues are not negative."""
    root = random.standard_normal(shape)
    return root @ np.swapaxes(root, -1, -2)


inputs = {"P": covariance}
