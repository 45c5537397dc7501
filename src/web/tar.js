// Packs files into a tar archive (POSIX ustar with pax headers) without copying them: the archive
// is a Blob that refers to the files, and the browser reads them as it sends.

const BLOCK = 512;
// Maximum of a number of 11 octal digits: larger sizes need a pax header.
const OCTAL_MAX = 8 ** 11 - 1;
const SHORT_NAME = 100;
const encoder = new TextEncoder();

/**
 * Packs entries `{ path, file }`; an entry without a file is a directory. A file whose path is
 * taken gets a number.
 */
export function tar(entries, type = 'application/x-tar') {
  const parts = [];
  const taken = new Set();
  for (const { path, file } of entries) {
    const cleaned = clean(path);
    if (!cleaned || (!file && taken.has(cleaned))) continue;
    parts.push(...(file ? regular(untaken(cleaned, taken), file) : directory(cleaned)));
    taken.add(cleaned);
  }
  // The end: two empty blocks.
  parts.push(new Uint8Array(2 * BLOCK));
  return new Blob(parts, { type });
}

/** Makes a path relative and valid UTF-8. */
function clean(path) {
  const segments = path.split('/').filter((name) => name && name !== '.' && name !== '..');
  return segments.join('/').replace(/[\ud800-\udfff]/gu, '_').replaceAll('\0', '_');
}

/** Returns the path, or the first numbered variant of it that is not taken. */
function untaken(path, taken) {
  const [, stem, extension] = path.match(/^(.*?[^/])(\.[^./]*)?$/s) ?? [path, path, ''];
  let found = path;
  for (let n = 1; taken.has(found); n++) found = `${stem} (${n})${extension ?? ''}`;
  taken.add(found);
  return found;
}

function regular(path, file) {
  const mtime = Math.floor((file.lastModified || 0) / 1000);
  const fields = { path, size: file.size, mtime, mode: 0o644, kind: '0' };
  return [...headers(fields), file, padding(file.size)];
}

function directory(path) {
  const mtime = Math.floor(Date.now() / 1000);
  return headers({ path: `${path}/`, size: 0, mtime, mode: 0o755, kind: '5' });
}

/** Returns the header, after a pax header if a field does not fit into it. */
function headers(fields) {
  let records = '';
  const name = encoder.encode(fields.path);
  if (name.length > SHORT_NAME || name.some((byte) => byte < 0x20 || byte > 0x7e)) {
    records += record('path', fields.path);
  }
  if (fields.size > OCTAL_MAX) records += record('size', fields.size);
  if (!records) return [header(fields)];
  const data = encoder.encode(records);
  const pax = { path: 'PaxHeader', size: data.length, mtime: fields.mtime, mode: 0o644, kind: 'x' };
  return [header(pax), data, padding(data.length), header(fields)];
}

/** Returns a pax record: its length, which counts its own digits, a key and a value. */
function record(key, value) {
  const rest = encoder.encode(` ${key}=${value}\n`).length;
  let length = rest;
  while (length !== rest + String(length).length) length = rest + String(length).length;
  return `${length} ${key}=${value}\n`;
}

function header({ path, size, mtime, mode, kind }) {
  const block = new Uint8Array(BLOCK);
  const text = (at, value) => block.set(encoder.encode(value), at);
  const octal = (at, digits, value) => text(at, value.toString(8).padStart(digits, '0'));
  // Where the pax header has the path or the size, programs that do not know pax see these.
  text(0, path.replace(/[^\x20-\x7e]/g, '_').slice(0, SHORT_NAME));
  octal(100, 7, mode);
  octal(108, 7, 0);
  octal(116, 7, 0);
  octal(124, 11, size > OCTAL_MAX ? 0 : size);
  octal(136, 11, Math.min(Math.max(mtime, 0), OCTAL_MAX));
  text(148, '        ');
  text(156, kind);
  text(257, 'ustar\0' + '00');
  // The checksum counts its own field as blanks.
  octal(148, 6, block.reduce((sum, byte) => sum + byte, 0));
  block[154] = 0;
  return block;
}

function padding(size) {
  return new Uint8Array((BLOCK - (size % BLOCK)) % BLOCK);
}
