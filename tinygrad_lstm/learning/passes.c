/* Passes over flat vectors: a step of each optimiser, the square of a gradient's norm, and rows
   added where they were read. What is written is not what is read. From a line above come `real` and
   ROOT, the square root of such a number. */

#include <math.h>
#include <stddef.h>

typedef ptrdiff_t count;
#define EACH(j, n) for (count j = 0; j < (n); j++)
#define PARTS 16

double square_sum(count n, const real *g)
{
    double part[PARTS] = {0}, total = 0;
    count j = 0;
    for (; j + PARTS <= n; j += PARTS)
        EACH(k, PARTS) part[k] += (double)g[j + k] * (double)g[j + k];
    for (; j < n; j++) total += (double)g[j] * (double)g[j];
    EACH(k, PARTS) total += part[k];
    return total;
}

void adam(count n, const real *restrict p, const real *restrict g, const real *restrict m,
          const real *restrict v, real *restrict to, real *restrict to_m, real *restrict to_v,
          double beta1, double beta2, double pace, double share2, double epsilon)
{
    const real b1 = beta1, b2 = beta2, r1 = 1 - beta1, r2 = 1 - beta2, e = epsilon;
    const real rate = pace, share = 1 / share2;
    EACH(j, n) {
        to_m[j] = b1 * m[j] + r1 * g[j];
        to_v[j] = b2 * v[j] + r2 * (g[j] * g[j]);
        to[j] = p[j] - rate * to_m[j] / (ROOT(to_v[j] * share) + e);
    }
}

void rmsprop(count n, const real *restrict p, const real *restrict g, const real *restrict v,
             const real *restrict u, real *restrict to, real *restrict to_v, real *restrict to_u,
             double decay, double momentum, double pace, double epsilon)
{
    const real d = decay, rest = 1 - decay, mu = momentum, rate = pace, e = epsilon;
    EACH(j, n) {
        to_v[j] = d * v[j] + rest * (g[j] * g[j]);
        to_u[j] = mu * u[j] + g[j] / (ROOT(to_v[j]) + e);
        to[j] = p[j] - rate * to_u[j];
    }
}

void sgd(count n, const real *restrict p, const real *restrict g, const real *restrict u,
         real *restrict to, real *restrict to_u, double momentum, double pace, double ahead)
{
    const real mu = momentum, rate = pace, own = 1 - ahead, far = ahead;
    EACH(j, n) {
        to_u[j] = mu * u[j] + g[j];
        to[j] = p[j] - rate * (own * to_u[j] + far * (g[j] + mu * to_u[j]));
    }
}

void add_rows(count n, count width, const count *numbers, const real *restrict rows,
              real *restrict total)
{
    EACH(k, n) EACH(j, width) total[numbers[k] * width + j] += rows[k * width + j];
}
