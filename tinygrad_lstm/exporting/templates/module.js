const { exports } = new WebAssembly.Instance(new WebAssembly.Module(code), {});
const first = exports.@NAME@_weights.value; // where the weights of the module lie
const own = new Real(exports.memory.buffer, first, WEIGHTS).slice();

// All steps of all sequences: arrays are copied into the memory of the module, and back.
function run(weights, time, batch, @ARGUMENTS@) {
    const arrays = [@ARGUMENTS@];
    if (weights !== own) arrays.push(weights);
    let end = exports.__heap_base.value;
    const places = arrays.map((array) => {
        const place = (end + 15) & ~15;
        end = place + array.byteLength;
        return place;
    });
    const short = end - exports.memory.buffer.byteLength;
    if (short > 0) exports.memory.grow(Math.ceil(short / 65536));
    const view = (k) => {
        const { constructor, length } = arrays[k];
        return new constructor(exports.memory.buffer, places[k], length);
    };
    arrays.forEach((array, k) => view(k).set(array));
    const at = weights === own ? first : places.pop();
    exports.@NAME@_forward(at, time, batch, ...places);
    [@CHANGED@].forEach((k) => arrays[k].set(view(k)));
}
