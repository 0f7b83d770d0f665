/* Numbers and functions of all compiled cells. `real` and VECTOR (bytes of a vector register) come
   from the lines above. */

#include <stddef.h>
#include <math.h>
#include <string.h>

typedef ptrdiff_t count;
#define HIDDEN __attribute__((visibility("hidden")))

/* result (rows, columns) = left (rows, inner) . right, with right in panels as `pack` makes them;
   onto: added to what is there. */
HIDDEN void product(count rows, count columns, count inner, const real *left, count down,
                    const real *packed, real *result, count stride, int onto);

/* A matrix (inner, columns) in panels of columns, entry (k, j) from[k * down + j * right]. */
HIDDEN void pack(count inner, count columns, const real *from, count down, count right,
                 real *packed);

/* The rows of some steps of a left factor, put together for `outer`; row b of step s is at
   left + s * by + b * down. */
HIDDEN void gather(count height, count steps, count rows, const real *left, count by, count down,
                   real *to);

/* out (height, width) += left^T . right, summed over the rows of some steps. */
HIDDEN void outer(count height, count width, count steps, count rows, const real *gathered,
                  const real *right, count by, count down, real *out, real *space);

/* --- functions: without branches, so that loops over units become vectors ----------------------
   e^x - 1 = 2^n (e^r - 1) + (2^n - 1) with x = n log 2 + r, exact near 0 too. */
static inline __attribute__((always_inline)) real
exp_less_one(real x)
{
    x = x > LARGEST ? LARGEST : x;
    x = x < -LARGEST ? -LARGEST : x;
    const real shifted = x * (real)1.4426950408889634 + ROUNDER;
    const real n = shifted - ROUNDER;
    const real r = (x - n * LOG2_HIGH) - n * LOG2_LOW;
    bits power;
    memcpy(&power, &shifted, sizeof power);
    power = (power + BIAS) << MANTISSA;
    real scale;
    memcpy(&scale, &power, sizeof scale);
    const real small = r * POLYNOMIAL(r);
    return scale * small + (scale - 1);
}

static inline __attribute__((always_inline)) real
tanh_(real x)
{
    const real e = exp_less_one(2 * x);
    return e / (e + 2);
}

static inline __attribute__((always_inline)) real
sigmoid_(real x)
{
    return 1 / (2 + exp_less_one(-x));
}

static inline real softplus_(real x)
{
    const real rest = LOG1P(EXP(x < 0 ? x : -x));
    return (x < 0 ? 0 : x) + rest;
}
