"""Steps of differential equations by Euler, Runge and Kutta, and a fused solver."""

from tinygrad_lstm import cell, exp, expm1, softplus, tanh

WEIGHTS = {"W": "hidden, hidden", "V": "hidden, inputs", "b": "hidden"}


@cell(state="v", parameters={**WEIGHTS, "τ": "hidden"}, sequences={"dt": ""})
def ctrnn(now, prev, I, p, dt):
    """Continuous-time network by Euler's rule (Funahashi & Nakamura 1993): τ v' = -v + W·r + I."""
    now.r = tanh(prev.v + p.b)
    now.dv = (-prev.v + p.W @ now.r + p.V @ I) / softplus(p.τ)
    now.v = prev.v + dt * now.dv


@cell(state="h", parameters=WEIGHTS, sequences={"dt": ""})
def neural_ode(now, prev, x, p, dt):
    """A neural ODE's step by the classical Runge-Kutta rule (Chen et al. 2018; torchdiffeq)."""

    def f(h):
        return tanh(p.W @ h + p.V @ x + p.b)

    now.k_1 = f(prev.h)
    now.k_2 = f(prev.h + dt / 2 * now.k_1)
    now.k_3 = f(prev.h + dt / 2 * now.k_2)
    now.k_4 = f(prev.h + dt * now.k_3)
    now.h = prev.h + dt / 6 * (now.k_1 + 2 * now.k_2 + 2 * now.k_3 + now.k_4)


@cell(state="v", parameters={**WEIGHTS, "A log_tau": "hidden"})
def liquid(now, prev, x, p, unfold=3, dt=0.1):
    """Liquid time constants by the fused solver (Hasani et al. 2021), three inner steps."""
    v = prev.v
    for _ in range(unfold):
        f = softplus(p.W @ v + p.V @ x + p.b)
        v = (v + dt * f * p.A) / (1 + dt * (exp(-p.log_tau) + f))
    now.v = v


@cell(state="v", parameters={**WEIGHTS, "log_tau": "hidden"}, sequences={"dt": ""})
def exponential_euler(now, prev, x, p, dt):
    """An exact leak over any interval, as neuron simulators take it (after Rush & Larsen 1978)."""
    now.rest = p.W @ tanh(prev.v) + p.V @ x + p.b
    now.v = prev.v + expm1(-(dt**2) / exp(p.log_tau)) * (prev.v - now.rest)


@cell(state="p q", x="hidden", parameters={"k": "hidden", "W": "hidden, hidden"}, output="q")
def leapfrog(now, prev, x, p, dt=0.1):
    """A Hamiltonian step (after Chen et al. 2020): p is a state's name and the parameters', too."""
    half = prev.p - dt / 2 * (p.k * prev.q + p.W @ x)
    now.q = prev.q + dt * half
    now.p = half - dt / 2 * (p.k * now.q + p.W @ x)
