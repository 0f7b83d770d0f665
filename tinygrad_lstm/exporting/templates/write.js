
// What it writes after a text: each symbol is drawn from softmax(scores / temperature).
function write(text = "\n", length = 200, temperature = 0.8, random = Math.random) {
    const known = Array.from(text).map((c) => symbols.indexOf(c)).filter((k) => k >= 0);
    let ids = known.length ? known : [0], state = start(), written = "";
    while (length-- > 0) {
        const found = forward({ ids, state });
        const scores = found.scores.slice(-SYMBOLS), most = Math.max(...scores);
        const heat = Math.max(temperature, 1e-6);
        const shares = Array.from(scores, (s) => Math.exp((s - most) / heat));
        let left = random() * shares.reduce((a, b) => a + b), k = 0;
        while (k < SYMBOLS - 1 && left >= shares[k]) left -= shares[k++];
        written += symbols[k];
        ids = [k];
        state = found.state;
    }
    return written;
}
