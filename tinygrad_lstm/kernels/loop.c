/* The loop $what, for samples first to last, in pieces of a few steps. */
void $name(count steps, count batch, count first, count last, count piece, real **at,
    const count *by, real **packs, const unsigned char *mask, real *sums, real *products,
    real *scratch)
{
    const count rows = last - first;
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
