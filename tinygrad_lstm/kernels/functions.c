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
#define OVERFLOW 710
#define UNDERFLOW -746
#define ROUNDER 0x1.8p52
#define BIAS 1023
#define MANTISSA 52
#define TERMS 12
#else
typedef float real;
typedef int bits;
#define FUNCTION(name) name##f
#define LARGEST 85
#define OVERFLOW 89
#define UNDERFLOW -104
#define ROUNDER 0x1.8p23f
#define BIAS 127
#define MANTISSA 23
#define TERMS 6
#endif
#define EXP exp_
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

/* What compilers are told beyond C99: that the entries of a pass do not depend on one another. */
#if defined(__clang__)
#define UNUSED __attribute__((unused))
#define INLINE static inline __attribute__((always_inline, unused))
#define UNROLL _Pragma("clang loop unroll(full)")
#define INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#pragma clang diagnostic ignored "-Wpass-failed"
#elif defined(__GNUC__)
#define UNUSED __attribute__((unused))
#define INLINE static inline __attribute__((always_inline, unused))
#define UNROLL _Pragma("GCC unroll 16")
#define INDEPENDENT _Pragma("GCC ivdep")
#else
#define UNUSED
#define INLINE static inline
#define UNROLL
#define INDEPENDENT
#endif

/* --- functions: without branches, so that loops over units become vectors ----------------------
   2^n where shifted = n + ROUNDER, whose last digits are n. */
INLINE real power_of_two(real shifted)
{
    bits power;
    memcpy(&power, &shifted, sizeof power);
    power = (power + BIAS) << MANTISSA;
    real scale;
    memcpy(&scale, &power, sizeof scale);
    return scale;
}

/* e^r - 1 for small r. */
INLINE real small_exp_less_one(real r)
{
    static const double inverse[] = {  /* 1 / k! */
        0, 1, 1. / 2, 1. / 6, 1. / 24, 1. / 120, 1. / 720, 1. / 5040, 1. / 40320, 1. / 362880,
        1. / 3628800, 1. / 39916800, 1. / 479001600};
    real small = 0;
    UNROLL
    for (int k = TERMS; k; k--) small = r * ((real)inverse[k] + small);
    return small;
}

/* e^x - 1 = 2^n (e^r - 1) + (2^n - 1) with x = n log 2 + r, exact near 0 too. */
INLINE real exp_less_one(real x)
{
    x = x > LARGEST ? LARGEST : x;
    x = x < -LARGEST ? -LARGEST : x;
    const real shifted = x * (real)1.4426950408889634 + ROUNDER;
    const real n = shifted - ROUNDER, scale = power_of_two(shifted);
    const real small = small_exp_less_one((x - n * LOG2_HIGH) - n * LOG2_LOW);
    return scale * small + (scale - 1);
}

/* e^x = 2^n e^r, with 2^n in two factors, which are numbers also where the result is none. */
INLINE real exp_(real x)
{
    x = x > OVERFLOW ? OVERFLOW : x;
    x = x < UNDERFLOW ? UNDERFLOW : x;
    const real n = (x * (real)1.4426950408889634 + ROUNDER) - ROUNDER;
    const real half = n * (real)0.5 + ROUNDER, rest = (n - (half - ROUNDER)) + ROUNDER;
    const real small = small_exp_less_one((x - n * LOG2_HIGH) - n * LOG2_LOW);
    return (1 + small) * power_of_two(half) * power_of_two(rest);
}

INLINE real tanh_(real x)
{
    const real e = exp_less_one(2 * x);
    return e / (e + 2);
}

INLINE real sigmoid_(real x)
{
    return 1 / (2 + exp_less_one(-x));
}

INLINE real softplus_(real x)
{
    const real rest = LOG1P(EXP(x < 0 ? x : -x));
    return (x < 0 ? 0 : x) + rest;
}

#define EACH(j, n) for (count j = 0; j < (n); j++)
