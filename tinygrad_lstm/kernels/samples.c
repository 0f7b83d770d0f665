/* --- operations on one sample: `to` and `from` are tables of places, NULL where there is none ---- */
SHARED void move(count n, real *out, const int *to, const real *x, const int *from)
{
    if (!to && !from) EACH(j, n) out[j] = x[j];
    else EACH(j, n) out[to ? to[j] : j] = x[from ? from[j] : j];
}

SHARED void fill(count n, real *out, real value) { EACH(j, n) out[j] = value; }
SHARED void average(count m, count n, real *out)
{
    EACH(j, m) out[j] *= (real)((double)m / (double)n);
}
SHARED void truth(count n, real *out) { EACH(j, n) out[j] = out[j] != 0; }

/* The largest entry, the sum, and the sum of e^(x - most), in parts that become vectors. */
#define PARTS 16
SHARED real largest_of(count n, const real *x)
{
    real part[PARTS], most = -INFINITY;
    count j = 0;
    EACH(k, PARTS) part[k] = most;
    for (; j + PARTS <= n; j += PARTS)
        EACH(k, PARTS) part[k] = x[j + k] > part[k] ? x[j + k] : part[k];
    for (; j < n; j++) most = x[j] > most ? x[j] : most;
    EACH(k, PARTS) most = part[k] > most ? part[k] : most;
    return most;
}

SHARED real sum_of(count n, const real *x)
{
    real part[PARTS] = {0}, total = 0;
    count j = 0;
    for (; j + PARTS <= n; j += PARTS) EACH(k, PARTS) part[k] += x[j + k];
    for (; j < n; j++) total += x[j];
    EACH(k, PARTS) total += part[k];
    return total;
}

SHARED real exp_sum_of(count n, const real *x, real most)
{
    real part[PARTS] = {0}, total = 0;
    count j = 0;
    for (; j + PARTS <= n; j += PARTS) EACH(k, PARTS) part[k] += EXP(x[j + k] - most);
    for (; j < n; j++) total += EXP(x[j] - most);
    EACH(k, PARTS) total += part[k];
    return total;
}

/* Entry j of x enters entry to[j] of the result, the only one where there is no table. */
SHARED void add_up(count n, real *out, const int *to, const real *x)
{
    if (!to) *out += sum_of(n, x);
    else EACH(j, n) out[to[j]] += x[j];
}

SHARED void multiply_up(count n, real *out, const int *to, const real *x)
{
    EACH(j, n) out[to ? to[j] : 0] *= x[j];
}

SHARED void largest(count n, real *out, const int *to, const real *x)
{
    EACH(j, n) {
        real *const most = out + (to ? to[j] : 0);
        *most = x[j] > *most || x[j] != x[j] ? x[j] : *most;
    }
}

SHARED void log_sum_exp_(count m, count n, real *out, const int *to, const real *x, real *most)
{
    if (!to) {
        const real top = largest_of(n, x), base = isfinite(top) ? top : 0;
        *out = base + LOG(exp_sum_of(n, x, base));
        return;
    }
    fill(m, out, 0);
    fill(m, most, -INFINITY);
    largest(n, most, to, x);
    EACH(j, m) most[j] = isfinite(most[j]) ? most[j] : 0;
    EACH(j, n) out[to[j]] += EXP(x[j] - most[to[j]]);
    EACH(j, m) out[j] = most[j] + LOG(out[j]);
}

/* Along the middle one of three axes. */
SHARED void cumsum_(count outer, count length, count inner, real *out, const real *x)
{
    EACH(o, outer) EACH(i, inner) {
        real total = 0;
        EACH(k, length) {
            const count at = (o * length + k) * inner + i;
            out[at] = total += x[at];
        }
    }
}

static UNUSED void softmax_of(count outer, count length, count inner, real *out, const real *x, int logarithm)
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

SHARED void softmax_(count outer, count length, count inner, real *out, const real *x)
{
    softmax_of(outer, length, inner, out, x, 0);
}

SHARED void log_softmax_(count outer, count length, count inner, real *out, const real *x)
{
    softmax_of(outer, length, inner, out, x, 1);
}

/* --- samples whose sequence has ended: rows of `to` become those of `from`, or zero if NULL ------- */
SHARED void copy_ended(const unsigned char *ended, count first, count last, count width, real *to,
                  const real *from)
{
    if (ended)
        for (count b = first; b < last; b++)
            if (ended[b]) EACH(j, width) to[b * width + j] = from ? from[b * width + j] : 0;
}
