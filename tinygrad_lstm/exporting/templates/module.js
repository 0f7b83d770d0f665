const { exports } = new WebAssembly.Instance(new WebAssembly.Module(code), {});
const own = new Real(exports.memory.buffer, exports.@NAME@_weights.value, WEIGHTS).slice();

// All steps of all sequences: arrays are copied into the memory of the module, and back.
function run(weights, time, batch, @ARGUMENTS@) {
    const arrays = [weights, @ARGUMENTS@];
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
    exports.@NAME@_forward(places[0], time, batch, ...places.slice(1));
    arrays.forEach((array, k) => array.set(view(k)));
}
