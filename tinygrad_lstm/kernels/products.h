/* What the loops of a cell call. SHARED is how far these functions are seen: see products.c. */

/* result (rows, columns) = left (rows, inner) . right, with right in panels as `pack` makes them;
   onto: added to what is there. */
SHARED void product(count rows, count columns, count inner, const real *left, count down,
                    const real *packed, real *result, count stride, int onto);

/* The same for some steps, whose rows lie `by` and `far` apart. */
SHARED void products_of(count steps, count rows, count columns, count inner, const real *left,
                        count by, count down, const real *packed, real *result, count far,
                        count stride, int onto);

/* The rows of some steps of a left factor, put together for `outer`; row b of step s is at
   left + s * by + b * down. */
SHARED void gather(count height, count steps, count rows, const real *left, count by, count down,
                   real *to);

/* out (height, width) += left^T . right, summed over the rows of some steps. */
SHARED void outer(count height, count width, count steps, count rows, const real *gathered,
                  const real *right, count by, count down, real *out, real *space);

/* A matrix (inner, columns) in panels of columns, entry (k, j) from[k * down + j * right]. */
void pack(count inner, count columns, const real *from, count down, count right, real *packed);

/* Operations on one sample: `to` and `from` are tables of places, NULL where there is none. */
SHARED void move(count n, real *out, const int *to, const real *x, const int *from);
SHARED void fill(count n, real *out, real value);
SHARED void average(count m, count n, real *out);
SHARED void truth(count n, real *out);
SHARED void add_up(count n, real *out, const int *to, const real *x);
SHARED void multiply_up(count n, real *out, const int *to, const real *x);
SHARED void largest(count n, real *out, const int *to, const real *x);
SHARED void log_sum_exp_(count m, count n, real *out, const int *to, const real *x, real *most);
#define log_sum_exp(m, n, out, to, x) { real most[m]; log_sum_exp_(m, n, out, to, x, most); }
SHARED void cumsum_(count outer, count length, count inner, real *out, const real *x);
SHARED void softmax_(count outer, count length, count inner, real *out, const real *x);
SHARED void log_softmax_(count outer, count length, count inner, real *out, const real *x);
SHARED void copy_ended(const unsigned char *ended, count first, count last, count width, real
                *to, const real *from);
