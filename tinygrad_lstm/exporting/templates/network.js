(function (root) {
"use strict";
@CONSTANTS@
const decode = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
@PROGRAM@

// The states before the first step.
function start(batch = 1) {
    const one = [@INITIAL@];
    return Real.from({ length: batch * STATE }, (_, n) => one[n % STATE]);
}

function forward({ @TAKES@, batch = 1, state = start(batch), weights = own }) {
    const time = @FIRST@.length / (batch * @READ@);
    if (!(time >= 1 && Number.isInteger(time))) {
        throw new RangeError(`@FIRST@ does not hold whole steps of ${batch} sequences`);
    }
    @FIRST@ = @KIND@.from(@FIRST@);
@CHECKS@
    state = Real.from(state);
    weights = weights instanceof Real ? weights : Real.from(weights);
    const @RESULT@ = new Real(time * batch * @WRITTEN@);
@WORK@
    run(weights, time, batch, @ARGUMENTS@);
    return { @RESULT@, state };
}
@WRITE@

function selfTest() {
    const given = {
@GIVEN@
    };
    const right = @RIGHT@;
    const rightState = @RIGHT_STATE@;
    const apart = (found, right) => {
        const scale = right.reduce((most, v) => Math.max(most, Math.abs(v)), 1);
        const worst = right.reduce((most, v, k) => Math.max(most, Math.abs(v - found[k])), 0);
        return worst / scale;
    };
    const { @RESULT@, state } = forward(given);
    return Math.max(apart(@RESULT@, right), apart(state, rightState));
}

const api = { @PUBLIC@ };
const isModule = typeof module === "object" && typeof require === "function";
if (isModule) module.exports = api;
else root["@NAME@"] = api;
if (isModule && require.main === module) {
    const worst = selfTest();
    console.log(`self-test: largest relative difference ${worst.toExponential(1)}`);
    process.exitCode = worst < @TOLERANCE@ ? 0 : 1;
}
})(globalThis);
