// QR codes (ISO/IEC 18004): byte mode, error correction M, versions 1 to 10.

// The margin that readers need around a code, in modules.
const QUIET = 4;
// For each version: codewords, of them for error correction in each block, and blocks.
const VERSIONS = [
  [26, 10, 1], [44, 16, 1], [70, 26, 1], [100, 18, 2], [134, 24, 2],
  [172, 16, 4], [196, 18, 4], [242, 22, 4], [292, 22, 5], [346, 26, 5],
];
const MASKS = [
  (x, y) => (x + y) % 2,
  (x, y) => y % 2,
  (x) => x % 3,
  (x, y) => (x + y) % 3,
  (x, y) => (((x / 3) | 0) + (y >> 1)) % 2,
  (x, y) => (x * y) % 6,
  (x, y) => (((x * y) % 2) + ((x * y) % 3)) % 2,
  (x, y) => (((x + y) % 2) + ((x * y) % 3)) % 2,
];

/** Returns the rows of a code, `true` for dark; throws if the text exceeds 213 bytes. */
export function qr(text) {
  const bytes = new TextEncoder().encode(text);
  for (const [at, [total, correction, blocks]] of VERSIONS.entries()) {
    const capacity = total - blocks * correction;
    if (bytes.length + (at < 9 ? 2 : 3) > capacity) continue;
    const data = interleave(codewords(bytes, at < 9, capacity), blocks, correction);
    const codes = MASKS.map((mask, index) => draw(at + 1, data, mask, index));
    const penalties = codes.map(penalty);
    return codes[penalties.indexOf(Math.min(...penalties))];
  }
  throw new RangeError('Text too long for a QR code');
}

/** Returns the code as an image: dark on white in any color scheme, as readers expect. */
export function svg(text) {
  const rows = qr(text);
  const side = rows.length + 2 * QUIET;
  const squares = rows.flatMap((row, y) =>
    row.map((dark, x) => (dark ? `M${x + QUIET} ${y + QUIET}h1v1h-1z` : '')));
  const make = (name, values) => {
    const node = document.createElementNS('http://www.w3.org/2000/svg', name);
    for (const key in values) node.setAttribute(key, values[key]);
    return node;
  };
  const image = make('svg', { viewBox: `0 0 ${side} ${side}`, 'shape-rendering': 'crispEdges' });
  image.append(make('path', { d: `M0 0h${side}v${side}H0z`, fill: '#fff' }), make('path', { d: squares.join('') }));
  return image;
}

/** Returns mode, length and text, filled up to the capacity. */
function codewords(bytes, isShort, capacity) {
  const hex = (byte) => byte.toString(16).padStart(2, '0');
  const text = `4${isShort ? '' : '00'}${hex(bytes.length)}${Array.from(bytes, hex).join('')}0`;
  const data = text.match(/../g).map((byte) => parseInt(byte, 16));
  for (let pad = 0xec; data.length < capacity; pad ^= 0xfd) data.push(pad);
  return data;
}

/** Adds error correction to each block and interleaves the blocks; the last ones can be longer. */
function interleave(data, count, correction) {
  const divisor = generator(correction);
  const blocks = [];
  for (let left = count; left > 0; left--) {
    const from = blocks.flat().length;
    blocks.push(data.slice(from, from + Math.floor((data.length - from) / left)));
  }
  const columns = (rows) =>
    rows.at(-1).flatMap((_, at) => rows.filter((row) => at in row).map((row) => row[at]));
  return [...columns(blocks), ...columns(blocks.map((block) => remainder(block, divisor)))];
}

/** Multiplies in GF(256) modulo x^8 + x^4 + x^3 + x^2 + 1. */
function multiply(a, b) {
  let product = 0;
  for (let bit = 7; bit >= 0; bit--) {
    product = (product << 1) ^ ((product >> 7) * 0x11d) ^ (((b >> bit) & 1) * a);
  }
  return product;
}

function generator(degree) {
  let divisor = [...Array(degree - 1).fill(0), 1];
  for (let i = 0, root = 1; i < degree; i++, root = multiply(root, 2)) {
    divisor = divisor.map((value, at) => multiply(value, root) ^ divisor[at + 1]);
  }
  return divisor;
}

function remainder(data, divisor) {
  return data.reduce(
    (rest, byte) => divisor.map((value, at) => multiply(value, byte ^ rest[0]) ^ rest[at + 1]),
    divisor.map(() => 0),
  );
}

function draw(version, data, mask, index) {
  const side = 17 + 4 * version;
  const rows = Array.from({ length: side }, () => Array(side).fill());
  const set = (x, y, dark) => {
    if (y in rows && x in rows) rows[y][x] = Boolean(dark);
  };
  const both = (x, y, dark) => {
    set(x, y, dark);
    set(y, x, dark);
  };
  /** Draws rings: one bit for each distance from the center. */
  const rings = (cx, cy, radius, bits) => {
    for (let y = -radius; y <= radius; y++) {
      for (let x = -radius; x <= radius; x++) set(cx + x, cy + y, (bits >> Math.max(x, y, -x, -y)) & 1);
    }
  };
  for (let at = 0; at < side; at++) both(6, at, ~at & 1);
  const end = side - 7;
  const centers = version < 2 ? [] : version < 7 ? [6, end] : [6, (side - 1) / 2, end];
  for (const y of centers) {
    for (const x of centers) {
      const isFinder = x + y === 12 || Math.abs(x - y) === end - 6;
      if (!isFinder) rings(x, y, 2, 0b101);
    }
  }
  for (const [x, y] of [[3, 3], [side - 4, 3], [3, side - 4]]) rings(x, y, 4, 0b1011);
  // The two bits of level M are 0.
  const format = check(index, 10, 0x537) ^ 0x5412;
  for (let i = 0; i < 15; i++) {
    const dark = (format >> i) & 1;
    set(8, i < 6 ? i : i < 8 ? i + 1 : side - 15 + i, dark);
    set(i < 8 ? side - 1 - i : i < 9 ? 7 : 14 - i, 8, dark);
  }
  set(8, side - 8, true);
  const wide = check(version, 12, 0x1f25);
  for (let i = 0; version > 6 && i < 18; i++) {
    both(side - 11 + (i % 3), (i / 3) | 0, (wide >> i) & 1);
  }
  fill(rows, data, mask);
  return rows;
}

/** Appends the check bits of a BCH code. */
function check(value, bits, divisor) {
  let rest = value;
  for (let i = 0; i < bits; i++) rest = (rest << 1) ^ ((rest >> (bits - 1)) * divisor);
  return (value << bits) | rest;
}

/** Draws the masked data in columns of two, alternately up and down, where nothing is drawn yet. */
function fill(rows, data, mask) {
  const end = rows.length - 1;
  let bit = 0;
  for (let right = end, up = true; right > 0; right -= 2, up = !up) {
    if (right === 6) right = 5;
    for (let step = 0; step <= end; step++) {
      const y = up ? end - step : step;
      for (const x of [right, right - 1]) {
        if (rows[y][x] !== undefined) continue;
        const dark = (data[bit >> 3] >> (7 - (bit & 7))) & 1;
        rows[y][x] = Boolean(dark) !== (mask(x, y) === 0);
        bit++;
      }
    }
  }
}

/** Rates how hard a code is to read: long runs, squares, patterns like a finder, the balance. */
function penalty(rows) {
  const columns = rows.map((_, x) => rows.map((row) => row[x]));
  const cells = rows.flat();
  let sum = 10 * Math.floor(Math.abs((cells.filter(Boolean).length / cells.length) * 20 - 10));
  for (const line of [...rows, ...columns]) {
    const text = line.map(Number).join('');
    for (const run of text.match(/0{5,}|1{5,}/g) ?? []) sum += run.length - 2;
    sum += 40 * (text.match(/(?=00001011101|10111010000)/g) ?? []).length;
  }
  rows.slice(1).forEach((row, y) => row.slice(1).forEach((dark, x) => {
    if (dark === rows[y][x] && dark === rows[y][x + 1] && dark === row[x]) sum += 3;
  }));
  return sum;
}
