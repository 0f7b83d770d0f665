/* Numbers and functions of all compiled cells. From the lines above come DOUBLE (whether numbers
   are such), VECTOR (bytes of a vector register) and ROWS (of a block of a product in registers). */

#include <stddef.h>
#include <math.h>
#include <string.h>

typedef ptrdiff_t count;
#if DOUBLE
typedef double real;
typedef long long bits;
#define FUNCTION(name) name
#define LARGEST 700
#define ROUNDER 0x1.8p52
#define BIAS 1023
#define MANTISSA 52
#define TERMS 12
#else
typedef float real;
typedef int bits;
#define FUNCTION(name) name##f
#define LARGEST 85
#define ROUNDER 0x1.8p23f
#define BIAS 127
#define MANTISSA 23
#define TERMS 6
#endif
#define EXP FUNCTION(exp)
#define EXPM1 FUNCTION(expm1)
#define LOG FUNCTION(log)
#define LOG1P FUNCTION(log1p)
#define SQRT FUNCTION(sqrt)
#define SIN FUNCTION(sin)
#define COS FUNCTION(cos)
#define POW FUNCTION(pow)
#define ERF FUNCTION(erf)
#define FLOOR FUNCTION(floor)
#define FABS FUNCTION(fabs)
/* log 2 in two parts, the first with few digits */
#define LOG2_HIGH (real)0.693145751953125
#define LOG2_LOW (real)(0.6931471805599453094 - 0.693145751953125)
#define HIDDEN __attribute__((visibility("hidden")))

/* result (rows, columns) = left (rows, inner) . right, with right in panels as `pack` makes them;
   onto: added to what is there. */
HIDDEN void product(count rows, count columns, count inner, const real *left, count down,
                    const real *packed, real *result, count stride, int onto);

/* The same for some steps, whose rows lie `by` and `far` apart. */
static inline void products_of(count steps, count rows, count columns, count inner,
                               const real *left, count by, count down, const real *packed,
                               real *result, count far, count stride, int onto)
{
    if (rows == 1)
        product(steps, columns, inner, left, by, packed, result, far, onto);
    else
        for (count s = 0; s < steps; s++)
            product(rows, columns, inner, left + s * by, down, packed, result + s * far, stride,
                    onto);
}

/* A matrix (inner, columns) in panels of columns, entry (k, j) from[k * down + j * right]. */
void pack(count inner, count columns, const real *from, count down, count right, real *packed);

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
    static const double inverse[] = {  /* 1 / k! */
        0, 1, 1. / 2, 1. / 6, 1. / 24, 1. / 120, 1. / 720, 1. / 5040, 1. / 40320, 1. / 362880,
        1. / 3628800, 1. / 39916800, 1. / 479001600};
    real small = 0;
#pragma GCC unroll 16
    for (int k = TERMS; k; k--) small = r * ((real)inverse[k] + small);
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

/* --- operations on one sample: `to` and `from` are tables of places, NULL where there is none ---- */
#define EACH(j, n) for (count j = 0; j < (n); j++)
#define INLINE static inline __attribute__((always_inline, unused)) void

INLINE move(count n, real *out, const int *to, const real *x, const int *from)
{
    EACH(j, n) out[to ? to[j] : j] = x[from ? from[j] : j];
}

INLINE fill(count n, real *out, real value) { EACH(j, n) out[j] = value; }
INLINE scale(count n, real *out, real factor) { EACH(j, n) out[j] *= factor; }
INLINE truth(count n, real *out) { EACH(j, n) out[j] = out[j] != 0; }

/* Entry j of x enters entry to[j] of the result, the only one where there is no table. */
INLINE add_up(count n, real *out, const int *to, const real *x)
{
    EACH(j, n) out[to ? to[j] : 0] += x[j];
}

INLINE multiply_up(count n, real *out, const int *to, const real *x)
{
    EACH(j, n) out[to ? to[j] : 0] *= x[j];
}

INLINE largest(count n, real *out, const int *to, const real *x)
{
    EACH(j, n) {
        real *const most = out + (to ? to[j] : 0);
        *most = x[j] > *most || x[j] != x[j] ? x[j] : *most;
    }
}

INLINE log_sum_exp(count m, count n, real *out, const int *to, const real *x, real *most)
{
    fill(m, most, -INFINITY);
    largest(n, most, to, x);
    EACH(j, m) most[j] = isfinite(most[j]) ? most[j] : 0;
    EACH(j, n) out[to ? to[j] : 0] += EXP(x[j] - most[to ? to[j] : 0]);
    EACH(j, m) out[j] = most[j] + LOG(out[j]);
}

/* Along the middle one of three axes. */
INLINE cumsum_(count outer, count length, count inner, real *out, const real *x)
{
    EACH(o, outer) EACH(i, inner) {
        real total = 0;
        EACH(k, length) {
            const count at = (o * length + k) * inner + i;
            out[at] = total += x[at];
        }
    }
}

INLINE softmax_of(count outer, count length, count inner, real *out, const real *x, int logarithm)
{
    EACH(o, outer) EACH(i, inner) {
        const real *const in = x + o * length * inner + i;
        real *const to = out + o * length * inner + i;
        real most = in[0], total = 0;
        EACH(k, length) most = in[k * inner] > most ? in[k * inner] : most;
        EACH(k, length) total += EXP(in[k * inner] - most);
        EACH(k, length) to[k * inner] = logarithm ? in[k * inner] - (most + LOG(total))
                                                  : EXP(in[k * inner] - most) / total;
    }
}

INLINE softmax_(count outer, count length, count inner, real *out, const real *x)
{
    softmax_of(outer, length, inner, out, x, 0);
}

INLINE log_softmax_(count outer, count length, count inner, real *out, const real *x)
{
    softmax_of(outer, length, inner, out, x, 1);
}

/* --- samples whose sequence has ended: rows of `to` become those of `from`, or zero if NULL ------- */
INLINE copy_ended(const unsigned char *ended, count first, count last, count width, real *to,
                  const real *from)
{
    if (ended)
        for (count b = first; b < last; b++)
            if (ended[b]) EACH(j, width) to[b * width + j] = from ? from[b * width + j] : 0;
}
