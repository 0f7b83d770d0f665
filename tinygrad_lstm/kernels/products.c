/* Products of matrices for all compiled cells, compiled once for each kind of number. */

typedef real vector __attribute__((vector_size(VECTOR), aligned(sizeof(real))));
#define LANES ((count)(VECTOR / sizeof(real)))
#define PANEL (2 * LANES)

/* --- products ---------------------------------------------------------------------------------
   A block of `rows` rows and one panel of columns: the sums stay in registers. Entry (i, k) of
   the left matrix is a[i * down + k * right]; row k of the panel is b + k * next. */
static inline __attribute__((always_inline)) void
block(const int rows, count inner, const real *a, count down, count right, const real *b,
      count next, real *restrict c, count stride, count columns, int onto)
{
    vector sum[ROWS][2];
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++) {
        sum[i][0] = (vector){0};
        sum[i][1] = (vector){0};
    }
    for (count k = 0; k < inner; k++) {
        const vector first = *(const vector *)(b + k * next);
        const vector second = *(const vector *)(b + k * next + LANES);
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++) {
            const real left = a[i * down + k * right];
            sum[i][0] += left * first;
            sum[i][1] += left * second;
        }
    }
    if (columns == PANEL) {
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++) {
            vector *out = (vector *)(c + i * stride);
            vector *more = (vector *)(c + i * stride + LANES);
            *out = onto ? *out + sum[i][0] : sum[i][0];
            *more = onto ? *more + sum[i][1] : sum[i][1];
        }
        return;
    }
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++) {
        real line[PANEL];
        memcpy(line, sum[i], sizeof line);
        for (count j = 0; j < columns; j++)
            c[i * stride + j] = onto ? c[i * stride + j] + line[j] : line[j];
    }
}

/* Rows [0, rows) of left · panel, in blocks of nearly equal height. */
static void
panel(count rows, count inner, const real *a, count down, count right, const real *b, count next,
      real *c, count stride, count columns, int onto)
{
    count blocks = (rows + ROWS - 1) / ROWS;
    for (count n = 0, at = 0; n < blocks; n++) {
        const count height = (rows - at + blocks - n - 1) / (blocks - n);
        const real *left = a + at * down;
        real *out = c + at * stride;
        switch (height) {
#define CASE(m) case m: block(m, inner, left, down, right, b, next, out, stride, columns, onto); break;
            CASES
#undef CASE
        }
        at += height;
    }
}

/* result (rows, columns) = left (rows, inner) · right, with right in panels as `pack` makes them. */
HIDDEN void
product(count rows, count columns, count inner, const real *left, count down, const real *packed,
        real *result, count stride, int onto)
{
    for (count at = 0; at < columns; at += PANEL) {
        const count width = columns - at < PANEL ? columns - at : PANEL;
        panel(rows, inner, left, down, 1, packed + at * inner, PANEL, result + at, stride, width, onto);
    }
}

/* A matrix (inner, columns) in panels of PANEL columns, the last one filled up with zeros; entry
   (k, j) is from[k * down + j * right]. */
HIDDEN void
pack(count inner, count columns, const real *from, count down, count right, real *packed)
{
    for (count at = 0; at < columns; at += PANEL)
        for (count k = 0; k < inner; k++)
            for (count j = 0; j < PANEL; j++)
                packed[at * inner + k * PANEL + j]
                    = at + j < columns ? from[k * down + (at + j) * right] : (real)0;
}

/* out (height, width) += left^T · right, where row s * rows + b of left is at left + s * left_by +
   b * left_down, and so for right; both are put together in `space` first. */
HIDDEN void
outer(count height, count width, count steps, count rows, const real *left, count left_by,
      count left_down, const real *right, count right_by, count right_down, real *out, real *space)
{
    const count all = steps * rows;
    real *const part = space + all * ((width + PANEL - 1) / PANEL) * PANEL;
    for (count at = 0; at < width; at += PANEL) {
        const count columns = width - at < PANEL ? width - at : PANEL;
        real *to = space + at * all;
        for (count s = 0; s < steps; s++)
            for (count b = 0; b < rows; b++, to += PANEL) {
                const real *const from = right + s * right_by + b * right_down + at;
                for (count j = 0; j < columns; j++) to[j] = from[j];
                for (count j = columns; j < PANEL; j++) to[j] = 0;
            }
    }
    for (count at = 0; at < height; at += ROWS) {
        const count lines = height - at < ROWS ? height - at : ROWS;
        real *to = part;
        for (count s = 0; s < steps; s++)
            for (count b = 0; b < rows; b++, to += ROWS) {
                const real *const from = left + s * left_by + b * left_down + at;
                for (count i = 0; i < lines; i++) to[i] = from[i];
            }
        for (count to = 0; to < width; to += PANEL) {
            const count columns = width - to < PANEL ? width - to : PANEL;
            panel(lines, all, part, 1, ROWS, space + to * all, PANEL, out + at * width + to,
                  width, columns, 1);
        }
    }
}
