// Runs before a codec, in its own context, and gives back the function that calls it. What it needs later is taken here,
// before the codec can replace it.
(function (global, limits) {
    "use strict";
    var apply = Reflect.apply;
    var construct = Reflect.construct;
    var define = Object.defineProperty;
    var prototypeOf = Object.getPrototypeOf;
    var isArray = Array.isArray;
    var isFinite = Number.isFinite;
    var parse = JSON.parse;
    var stringify = JSON.stringify;
    var text = String;
    var RealDate = Date;
    var RealRegExp = RegExp;
    var kept = { Promise: Promise, Map: Map, Set: Set, WeakMap: WeakMap, WeakSet: WeakSet, RegExp: RegExp };
    var strange = Object.keys(kept);

    function hide(object, name, value) {
        define(object, name, { value: value, writable: true, configurable: true, enumerable: false });
    }

    // Built-in functions that walk what they are given without asking whether the time is over. Each pays for its steps.
    var work = 0;
    function pay(steps) {
        work += steps;
        if (!(work <= limits.work)) throw new RangeError("too much work for one payload");
    }

    // A real array, whose length is a number and not a function, or a copy of what only looks like one.
    function listOf(object) {
        if (isArray(object)) {
            pay(object.length);
            return object;
        }
        var length = Number(object.length);
        pay(length > 0 ? length : 0);
        var copy = [];
        for (var i = 0; i < length; i++) hide(copy, i, object[i]);
        return copy;
    }

    function guardArray(name) {
        var original = Array.prototype[name];
        if (typeof original !== "function") return;
        hide(Array.prototype, name, function () {
            return apply(original, listOf(this), arguments);
        });
    }
    ["reverse", "slice", "splice", "shift", "unshift", "copyWithin", "fill", "join", "toLocaleString", "sort", "toSorted",
        "toReversed", "toSpliced", "with"].forEach(guardArray);
    hide(Array.prototype, "concat", function () {
        var out = listOf(this).slice();
        for (var i = 0; i < arguments.length; i++) {
            if (isArray(arguments[i])) for (var j = 0; j < arguments[i].length; j++) out.push(arguments[i][j]);
            else out.push(arguments[i]);
        }
        return out;
    });
    hide(Array.prototype, "flat", function (depth) {
        var out = [];
        (function walk(list, left) {
            for (var i = 0; i < list.length; i++) {
                if (isArray(list[i]) && left > 0) walk(list[i], left - 1);
                else if (i in list) out.push(list[i]);
            }
        })(listOf(this), depth === undefined ? 1 : Number(depth));
        return out;
    });
    hide(Array.prototype, "flatMap", function (each, self) {
        return this.map(each, self).flat();
    });

    // Text: the length, and for a search the length times what is searched.
    function guardText(name) {
        var original = String.prototype[name];
        if (typeof original !== "function") return;
        var searches = /indexof|includes|split|replace/i.test(name);
        hide(String.prototype, name, function () {
            if (this === null || this === undefined) throw new TypeError("no text");
            var self = text(this);
            var args = [];
            for (var i = 0; i < arguments.length; i++) hide(args, i, arguments[i]);
            if (searches && args.length > 0 && !(args[0] instanceof RealRegExp) && args[0] !== undefined) {
                args[0] = text(args[0]);
                pay(self.length * (1 + args[0].length));
            } else {
                pay(self.length);
            }
            return apply(original, self, args);
        });
    }
    Object.getOwnPropertyNames(String.prototype).forEach(function (name) {
        if (!/^(constructor|length|toString|valueOf|at|charAt|charCodeAt|codePointAt)$/.test(name)) guardText(name);
    });
    hide(JSON, "stringify", function (value, replacer, space) {
        return stringify(value, typeof replacer === "function" ? replacer : undefined, space);
    });
    delete String.raw;
    delete global.Atomics;
    delete global.SharedArrayBuffer;

    // The same payload always gives the same values.
    hide(Math, "random", function () {
        return 0.5;
    });
    function fixDate(now) {
        function FixedDate() {
            var args = arguments.length === 0 ? [now] : arguments;
            if (new.target === undefined) return new RealDate(now).toString();
            return construct(RealDate, args, new.target === FixedDate ? RealDate : new.target);
        }
        FixedDate.prototype = RealDate.prototype;
        hide(RealDate.prototype, "constructor", FixedDate);
        hide(FixedDate, "UTC", RealDate.UTC);
        hide(FixedDate, "parse", RealDate.parse);
        hide(FixedDate, "now", function () {
            return now;
        });
        hide(global, "Date", FixedDate);
    }

    function silent() {}
    hide(global, "console", { log: silent, info: silent, warn: silent, error: silent, debug: silent, trace: silent });

    var BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    function bytesOfText(value, encoding) {
        var out = [];
        var i;
        if (encoding === "hex") {
            for (i = 0; i + 1 < value.length; i += 2) {
                var byte = parseInt(value.substr(i, 2), 16);
                if (byte !== byte) break;
                out.push(byte);
            }
        } else if (encoding === "base64" || encoding === "base64url") {
            var bits = 0;
            var held = 0;
            for (i = 0; i < value.length; i++) {
                var c = value[i] === "-" ? "+" : value[i] === "_" ? "/" : value[i];
                var digit = BASE64.indexOf(c);
                if (digit < 0) continue;
                held = ((held << 6) | digit) & 0xffff;
                bits += 6;
                if (bits >= 8) {
                    bits -= 8;
                    out.push((held >> bits) & 0xff);
                }
            }
        } else if (encoding === "latin1" || encoding === "binary" || encoding === "ascii") {
            for (i = 0; i < value.length; i++) out.push(value.charCodeAt(i) & 0xff);
        } else {
            var escaped = encodeURIComponent(value);
            for (i = 0; i < escaped.length; i++) {
                if (escaped[i] === "%") {
                    out.push(parseInt(escaped.substr(i + 1, 2), 16));
                    i += 2;
                } else out.push(escaped.charCodeAt(i));
            }
        }
        return out;
    }

    function textOfBytes(bytes, encoding) {
        var out = "";
        var i;
        if (encoding === "hex") {
            for (i = 0; i < bytes.length; i++) out += (bytes[i] < 16 ? "0" : "") + bytes[i].toString(16);
        } else if (encoding === "base64") {
            for (i = 0; i < bytes.length; i += 3) {
                var word = (bytes[i] << 16) | ((bytes[i + 1] || 0) << 8) | (bytes[i + 2] || 0);
                out += BASE64[word >> 18] + BASE64[(word >> 12) & 63];
                out += i + 1 < bytes.length ? BASE64[(word >> 6) & 63] : "=";
                out += i + 2 < bytes.length ? BASE64[word & 63] : "=";
            }
        } else {
            for (i = 0; i < bytes.length; i++) {
                out += encoding === undefined || /^utf-?8$/i.test(encoding)
                    ? "%" + (bytes[i] < 16 ? "0" : "") + bytes[i].toString(16)
                    : text.fromCharCode(bytes[i]);
            }
            if (out[0] === "%" || out === "") {
                try {
                    out = decodeURIComponent(out);
                } catch (_) {
                    // No UTF-8: one character a byte.
                    out = "";
                    for (i = 0; i < bytes.length; i++) out += bytes[i] < 128 ? text.fromCharCode(bytes[i]) : "\ufffd";
                }
            }
        }
        return out;
    }

    class Buffer extends Uint8Array {
        static from(value, encoding) {
            return super.from(typeof value === "string" ? bytesOfText(value, encoding) : value);
        }
        static alloc(size, fill) {
            return new Buffer(size).fill(fill || 0);
        }
        static isBuffer(value) {
            return value instanceof Buffer;
        }
        slice(from, to) {
            return this.subarray(from, to);
        }
        toString(encoding, from, to) {
            return textOfBytes(this.subarray(from || 0, to === undefined ? this.length : to), encoding);
        }
        readUInt8(at) {
            return new DataView(this.buffer, this.byteOffset, this.length).getUint8(at || 0);
        }
        readInt8(at) {
            return new DataView(this.buffer, this.byteOffset, this.length).getInt8(at || 0);
        }
    }
    [["UInt16", "Uint16"], ["Int16", "Int16"], ["UInt32", "Uint32"], ["Int32", "Int32"], ["Float", "Float32"],
        ["Double", "Float64"]].forEach(function (names) {
        [["LE", true], ["BE", false]].forEach(function (order) {
            hide(Buffer.prototype, "read" + names[0] + order[0], function (at) {
                return new DataView(this.buffer, this.byteOffset, this.length)["get" + names[1]](at || 0, order[1]);
            });
        });
    });
    Object.getOwnPropertyNames(Buffer.prototype).forEach(function (name) {
        if (/^read/.test(name)) hide(Buffer.prototype, name.replace("UInt", "Uint"), Buffer.prototype[name]);
    });
    hide(global, "Buffer", Buffer);

    // What JSON has no word for: a number that is none is told by its name, and nothing else may hide in a result.
    var nodes = 0;
    function plain(key, value) {
        nodes += 1;
        if (nodes > limits.nodes) throw new RangeError("the result has too many values");
        if (typeof value === "number" && !isFinite(value)) return text(value);
        if (typeof value === "function" || typeof value === "symbol" || typeof value === "bigint") {
            throw new TypeError("the result holds a " + typeof value + " at " + text(key));
        }
        if (typeof value === "object" && value !== null) {
            for (var i = 0; i < strange.length; i++) {
                if (kept[strange[i]].prototype === prototypeOf(value)) {
                    throw new TypeError("the result holds a " + strange[i] + (key === "" ? "" : " at " + text(key)));
                }
            }
        }
        return value;
    }

    function call(bytes, fPort, receivedMs, variables) {
        // By name, since `const decodeUplink = ...` is no property of the global object.
        if (typeof decodeUplink === "function") {
            return decodeUplink({ bytes: bytes, fPort: fPort, recvTime: new RealDate(receivedMs), variables: variables });
        }
        if (typeof Decoder === "function") return { data: Decoder(bytes, fPort, variables) };
        if (typeof Decode === "function") return { data: Decode(fPort, bytes, variables) };
        throw new ReferenceError("the script has none of decodeUplink, Decoder and Decode");
    }

    return {
        begin: fixDate,
        isComplete: function () {
            return typeof decodeUplink === "function" || typeof Decoder === "function" || typeof Decode === "function";
        },
        decode: function (bytes, fPort, receivedMs, variables) {
            var result = call(bytes, fPort, receivedMs, parse(variables));
            var out = stringify(result, plain);
            if (typeof out !== "string") throw new TypeError("the script gave no result");
            if (out.length > limits.text) throw new RangeError("the result is longer than " + limits.text + " characters");
            return out;
        },
    };
})
