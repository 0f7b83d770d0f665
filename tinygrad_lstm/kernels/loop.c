/* The loop $what, for samples first to last, in pieces of a few steps. */
void $name(const struct sizes *n, count steps, count batch, count first, count last,
    count piece, real *const *at, const count *by, real *const *packs, const unsigned char *mask,
    real *sums, real *products, real *scratch)
{
    const count rows = last - first;
    (void)n, (void)batch, (void)at, (void)by, (void)packs, (void)mask, (void)sums;
    (void)products, (void)scratch, (void)rows;
$memory
    for (count begin = 0; begin < steps; begin += piece) {
        const count end = begin + piece < steps ? begin + piece : steps;
$ahead
        for (count step = begin; step < end; step++) {
            const unsigned char *const ended = mask ? mask + step * batch : NULL;
$steps
        }
$after
    }
}
