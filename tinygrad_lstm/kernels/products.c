/* Products of matrices for all compiled cells: compiled once for each kind of number, or as a part
   of a cell's source. Without vectors of its own a compiler has one lane. */

#if defined(__GNUC__) && !defined(PLAIN)
typedef real vector __attribute__((vector_size(VECTOR), aligned(sizeof(real))));
#else
#undef VECTOR
#define VECTOR sizeof(real)
typedef real vector;
#endif
#define LANES ((count)(VECTOR / sizeof(real)))
#define PANEL (2 * LANES)

/* --- products ---------------------------------------------------------------------------------
   A block of `rows` rows and one panel of columns: the sums stay in registers. Entry (i, k) of
   the left matrix is a[i * down + k * right]; row k of the panel is b + k * next. */
INLINE void
block(const int rows, count inner, const real *a, count down, count right, const real *b,
      count next, real *restrict c, count stride, count columns, int onto)
{
    vector sum[ROWS][2];
    UNROLL
    for (int i = 0; i < rows; i++) {
        sum[i][0] = (vector){0};
        sum[i][1] = (vector){0};
    }
    for (count k = 0; k < inner; k++) {
        const vector first = *(const vector *)(b + k * next);
        const vector second = *(const vector *)(b + k * next + LANES);
        UNROLL
        for (int i = 0; i < rows; i++) {
            const real left = a[i * down + k * right];
            sum[i][0] += left * first;
            sum[i][1] += left * second;
        }
    }
    if (columns == PANEL) {
        UNROLL
        for (int i = 0; i < rows; i++) {
            vector *out = (vector *)(c + i * stride);
            vector *more = (vector *)(c + i * stride + LANES);
            *out = onto ? *out + sum[i][0] : sum[i][0];
            *more = onto ? *more + sum[i][1] : sum[i][1];
        }
        return;
    }
    UNROLL
    for (int i = 0; i < rows; i++) {
        real line[PANEL];
        memcpy(line, sum[i], sizeof line);
        for (count j = 0; j < columns; j++)
            c[i * stride + j] = onto ? c[i * stride + j] + line[j] : line[j];
    }
}

/* Rows [0, rows) of left · panel, in blocks of nearly equal height. */
static UNUSED void
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
            CASE(1) CASE(2) CASE(3) CASE(4)
#if ROWS > 4
            CASE(5) CASE(6)
#endif
#if ROWS > 6
            CASE(7) CASE(8)
#endif
#undef CASE
        }
        at += height;
    }
}

SHARED void
product(count rows, count columns, count inner, const real *left, count down, const real *packed,
        real *result, count stride, int onto)
{
    for (count at = 0; at < columns; at += PANEL) {
        const count width = columns - at < PANEL ? columns - at : PANEL;
        panel(rows, inner, left, down, 1, packed + at * inner, PANEL, result + at, stride, width, onto);
    }
}

SHARED void
products_of(count steps, count rows, count columns, count inner, const real *left, count by,
            count down, const real *packed, real *result, count far, count stride, int onto)
{
    if (rows == 1)
        product(steps, columns, inner, left, by, packed, result, far, onto);
    else
        for (count s = 0; s < steps; s++)
            product(rows, columns, inner, left + s * by, down, packed, result + s * far, stride,
                    onto);
}

/* A matrix (inner, columns) in panels of PANEL columns, the last one filled up with zeros; entry
   (k, j) is from[k * down + j * right]. */
void
pack(count inner, count columns, const real *from, count down, count right, real *packed)
{
    for (count at = 0; at < columns; at += PANEL)
        for (count k = 0; k < inner; k++)
            for (count j = 0; j < PANEL; j++)
                packed[at * inner + k * PANEL + j]
                    = at + j < columns ? from[k * down + (at + j) * right] : (real)0;
}

/* Rows of a matrix, row s * rows + b of which is at from + s * by + b * down, in strips of `strip`
   columns, the last one filled up with zeros: entry (k, j) is to[(j / strip) * strip * all + k * strip
   + j % strip]. */
INLINE void
strips(const count strip, count width, count steps, count rows, const real *from, count by,
       count down, real *to)
{
    for (count at = 0; at < width; at += strip) {
        const count columns = width - at < strip ? width - at : strip;
        for (count s = 0; s < steps; s++)
            for (count b = 0; b < rows; b++, to += strip) {
                const real *const row = from + s * by + b * down + at;
                if (columns == strip) {
                    memcpy(to, row, strip * sizeof(real));
                } else {
                    for (count j = 0; j < columns; j++) to[j] = row[j];
                    for (count j = columns; j < strip; j++) to[j] = 0;
                }
            }
    }
}

SHARED void
gather(count height, count steps, count rows, const real *left, count by, count down, real *to)
{
    strips(ROWS, height, steps, rows, left, by, down, to);
}

SHARED void
outer(count height, count width, count steps, count rows, const real *gathered, const real *right,
      count by, count down, real *out, real *space)
{
    const count all = steps * rows;
    strips(PANEL, width, steps, rows, right, by, down, space);
    for (count i = 0; i < height; i += ROWS) {
        const count lines = height - i < ROWS ? height - i : ROWS;
        for (count j = 0; j < width; j += PANEL) {
            const count columns = width - j < PANEL ? width - j : PANEL;
            panel(lines, all, gathered + i * all, 1, ROWS, space + j * all, PANEL,
                  out + i * width + j, width, columns, 1);
        }
    }
}
