"""Cells that are steps of a differential equation which keeps gradients in bounds."""

import numpy as np

from tinygrad_lstm import cell, sigmoid, tanh


@cell(state="h", parameters={"W": "hidden, hidden", "V": "hidden, inputs", "b": "hidden"})
def antisymmetric_rnn(now, prev, x, p, eps=0.1, gamma=0.01):
    """Antisymmetric RNN (Chang et al. 2019): W - Wᵀ - γI has no real part that grows."""
    W = p.W - p.W.T - gamma * np.eye(prev.h.shape[-1])
    now.h = prev.h + eps * tanh(W @ prev.h + p.V @ x + p.b)


@cell(
    state="h", parameters={"W": "hidden, hidden", "V_z V_h": "hidden, inputs", "b_z b_h": "hidden"}
)
def gated_antisymmetric_rnn(now, prev, x, p, eps=0.1, gamma=0.01):
    """The same with a gate that reads the same product (Chang et al. 2019)."""
    now.A = p.W - p.W.T - gamma * np.eye(prev.h.shape[-1])
    now.a = now.A @ prev.h
    now.z = sigmoid(now.a + p.V_z @ x + p.b_z)
    now.h = prev.h + eps * now.z * tanh(now.a + p.V_h @ x + p.b_h)


@cell(state="y z", parameters={"W W_z": "hidden, hidden", "V": "hidden, inputs", "b": "hidden"})
def co_rnn(now, prev, x, p, dt=0.5, gamma=1, epsilon=1):
    """Coupled oscillators (Rusch & Mishra 2021), damped explicitly; RecurrentLayers.jl #58."""
    drive = tanh(p.W @ prev.y + p.W_z @ prev.z + p.V @ x + p.b)
    now.z = prev.z + dt * (drive - gamma * prev.y - epsilon * prev.z)
    now.y = prev.y + dt * now.z


@cell(
    state="y z",
    parameters={
        "W_1 W_2 W_y W_z": "hidden, hidden",
        "V_1 V_2 V_y V_z": "hidden, inputs",
        "b_1 b_2 b_y b_z": "hidden",
    },
)
def lem(now, prev, u, p, dt=1.0):
    """Long expressive memory (Rusch et al. 2022): two learned step lengths."""
    now.Δt = dt * sigmoid(p.W_1 @ prev.y + p.V_1 @ u + p.b_1)
    now.Δt_bar = dt * sigmoid(p.W_2 @ prev.y + p.V_2 @ u + p.b_2)
    now.z = (1 - now.Δt) * prev.z + now.Δt * tanh(p.W_z @ prev.y + p.V_z @ u + p.b_z)
    now.y = (1 - now.Δt_bar) * prev.y + now.Δt_bar * tanh(p.W_y @ now.z + p.V_y @ u + p.b_y)


@cell(state="y z", parameters={"w c b": "hidden", "V": "hidden, inputs"}, start={"w": 0.5})
def unicornn(now, prev, x, p, dt=0.1, alpha=0.9):
    """UnICORNN (Rusch & Mishra 2021): independent undamped oscillators."""
    now.speed = sigmoid(p.c)
    now.z = prev.z - dt * now.speed * (tanh(p.w * prev.y + p.V @ x + p.b) + alpha * prev.y)
    now.y = prev.y + dt * now.speed * now.z
