const erf = (x) => { // by its power series, far out by a continued fraction
    const a = Math.abs(x), e = Math.exp(-x * x) / Math.sqrt(Math.PI);
    let sum = 0, term = 2 * a;
    if (a > 3) {
        for (let k = 60; k > 0; k--) sum = k / 2 / (a + sum);
        return Math.sign(x) * (1 - e / (a + sum));
    }
    for (let k = 1; k < 100; k++) { sum += term; term *= 2 * x * x / (2 * k + 1); }
    return Math.sign(x) * sum * e;
};
