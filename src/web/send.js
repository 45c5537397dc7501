// The sender's page: takes files, a folder or a text, creates a stream, uploads, and follows it.

import { $, Progress, describe, enableCopying, follow, showCommands, shown, showsNode, size, status, time, write } from './common.js';
import { svg } from './qr.js';
import { tar } from './tar.js';

// More files than that belong into an archive made by another program.
const FILES_MAX = 100_000;
// Uploads of one stream: a connection that was lost before the first byte can be replaced.
const ATTEMPTS = 5;
const WAITING = ['CREATED', 'SRC_CONNECTED'];
const STATES = {
  CREATED: 'Waiting for the receiver',
  SRC_CONNECTED: 'Waiting for the receiver',
  DST_CONNECTED: 'Receiver connected',
  STREAMING: 'Receiver connected; sending',
};

/** The running transfer, or the last one. */
let run = null;

/** Sends entries `{ path, file }` as a single file, or as one archive. */
function sendEntries(entries) {
  const [first] = entries;
  if (!first) return notice('Nothing to send: no files were found.');
  if (entries.length === 1 && first.file && !first.path.includes('/')) {
    return send(first.file, first.path, size(first.file.size));
  }
  const roots = new Set(entries.map(({ path }) => path.split('/')[0]));
  const files = entries.filter(({ file }) => file);
  const bytes = files.reduce((sum, { file }) => sum + file.size, 0);
  const about = `${files.length} ${files.length === 1 ? 'file' : 'files'}, ${size(bytes)}, as a tar archive`;
  return send(tar(entries), `${roots.size === 1 ? first.path.split('/')[0] : 'files'}.tar`, about);
}

async function send(body, name, about) {
  if (run?.isActive) return;
  run = { body, name, isActive: true, status: { state: 'CREATED', active: true, bytes_transferred: 0 } };
  const current = run;
  notice('');
  const created = await create(Number($('ttl').value));
  if (!created.stream) {
    current.isActive = false;
    return notice(created.error);
  }
  current.id = created.stream;
  current.url = await place(created.stream);
  current.expires = created.ttl_seconds && Date.now() + created.ttl_seconds * 1000;
  showTransfer(current, about);
  current.unfollow = follow(current.id, (status) => show(current, status));
  current.timer = setInterval(() => tick(current), 1000);
  upload(current);
}

async function create(seconds) {
  let response;
  try {
    response = await fetch('/stream', { method: 'POST', body: JSON.stringify({ ttl_seconds: seconds }) });
  } catch {
    return { error: 'Cannot connect to the relay. Check your connection and try again.' };
  }
  const body = await response.json().catch(() => ({}));
  if (response.ok) return body;
  const retry = response.headers.get('Retry-After');
  return { error: `The relay refused: ${body.message ?? response.status}${retry ? `. Try again in ${retry} s.` : ''}` };
}

/** Returns the URL of a stream at its node: Chromium fails if a large upload is redirected while it is sent. */
async function place(id) {
  const path = `/stream/${id}`;
  if (!showsNode(id)) return path;
  const response = await fetch(path, { method: 'HEAD', cache: 'no-store' }).catch(() => null);
  return response?.url || path;
}

function showTransfer({ id, name }, about) {
  const link = `${location.origin}/s/${id}`;
  $('choose').hidden = true;
  $('transfer').hidden = false;
  for (const part of ['advice', 'moving', 'again']) $(part).hidden = true;
  $('cancel').hidden = false;
  write($('title'), name);
  write($('about'), about);
  $('link').value = link;
  showCommands(id);
  try {
    $('qr').replaceChildren(svg(link));
    $('qr').hidden = false;
  } catch {
    // The address of the relay is too long for a code.
    $('qr').hidden = true;
  }
  $('local').hidden = !/^(localhost|127\.|\[::1\])/.test(location.hostname);
  show(run, run.status);
  $('copy').focus();
}

/** Uploads until the stream has an outcome: the events have the state, the response only confirms it. */
async function upload(current) {
  for (let attempt = 1; ; attempt++) {
    const answer = await put(current);
    const now = current.isActive ? await status(current.id) : null;
    if (!current.isActive) return;
    if (now && !now.active) return show(current, now);
    // The relay can have forgotten the stream already.
    if (answer.status === 200) return now ?? show(current, complete(current));
    if (attempt === ATTEMPTS || ![0, 429, 503].includes(answer.status)) return fail(current, answer);
    setState(current.status.state, 'Connection lost; retrying');
    await new Promise((resume) => setTimeout(resume, answer.retrySeconds * 1000));
    if (!current.isActive) return;
  }
}

function complete({ status, body }) {
  return { ...status, state: 'FINISHED', active: false, bytes_transferred: body.size };
}

/** Sends the body; a Blob has a length, so that the receiver's browser can show its progress. */
function put(current) {
  const request = new XMLHttpRequest();
  current.request = request;
  // A lone surrogate cannot be encoded.
  const name = encodeURIComponent(current.name.replace(/[\ud800-\udfff]/gu, '_'));
  request.open('PUT', `${current.url}/${name}`);
  return new Promise((resolve) => {
    request.onloadend = () => {
      let message = request.responseText;
      try {
        ({ message } = JSON.parse(message));
      } catch {
        // The response of a reverse proxy.
      }
      const retrySeconds = Math.min(Number(request.getResponseHeader('Retry-After')) || 1, 30);
      resolve({ status: request.status, message, retrySeconds });
    };
    request.send(current.body);
  });
}

/** Ends a transfer of which the relay reports no outcome. */
async function fail(current, answer) {
  const isReadable = await current.body.slice(0, 1).arrayBuffer().then(() => true, () => false);
  if (!current.isActive) return;
  if (!isReadable) return cancel('The file cannot be read, or has changed.', 'Choose it again.');
  const words = answer.status
    ? `The upload failed: ${answer.message || answer.status}.`
    : 'Interrupted: the connection to the relay was lost, or a file has changed.';
  end(current, 'FAILED', { words, advice: 'Check your connection and send it again with a new link.' });
}

/** Shows a status object. */
function show(current, status) {
  if (!current.isActive && current.status.receipt !== 'expected') return;
  const isNew = status.state !== current.status.state;
  current.status = status;
  const isMoving = !WAITING.includes(status.state) && status.state !== 'DST_CONNECTED';
  if (isMoving && (!current.progress || (isNew && status.state === 'STREAMING'))) current.progress = new Progress();
  current.progress?.show(status, current.body.size);
  $('moving').hidden = !isMoving || (!status.active && status.state !== 'FINISHED' && !status.bytes_transferred);
  $('share').hidden = !WAITING.includes(status.state);
  if (status.active) return setState(status.state, STATES[status.state]);
  if (status.state !== 'FINISHED') return end(current, status.state, describe(status, true));
  finished(current, status);
}

function finished(current, status) {
  const words = `Sent ${current.progress.summary(status.bytes_transferred)}.`;
  if (status.receipt === 'failed') {
    const reason = status.receipt_error ? `: ${shown(status.receipt_error)}` : '';
    const advice = 'Send it again with a new link.';
    return end(current, 'FINISHED', { words: `Sent, but the receiver reported a failure${reason}.`, advice });
  }
  const advice = { confirmed: 'The receiver confirmed it.', expected: 'Waiting for confirmation by the receiver.' };
  end(current, 'FINISHED', { words: current.words ?? words, advice: advice[status.receipt] ?? '' }, true);
  current.words ??= words;
}

function end(current, state, { words, advice }, isGood = false) {
  current.isActive = false;
  clearInterval(current.timer);
  // The response that confirms the end is on its way: only other uploads are stopped.
  if (!isGood) current.request.abort();
  if (current.status.receipt !== 'expected') current.unfollow();
  setState(state, words, isGood ? 'good' : 'bad');
  write($('advice'), advice);
  $('advice').hidden = !advice;
  $('share').hidden = $('cancel').hidden = true;
  $('again').hidden = false;
  if (document.activeElement === document.body) $('again').focus();
}

function cancel(words, advice) {
  if (!run?.isActive || !run.id) return;
  fetch(`/stream/${run.id}`, { method: 'DELETE', keepalive: true }).catch(() => {});
  end(run, 'CLIENT_ERROR', { words, advice });
}

function setState(state, words, tone = '') {
  $('state').dataset.state = state;
  $('state').className = `state ${tone}`;
  write($('state'), words);
  document.title = `${words} · ${run.name}`;
}

/** Once a second: the rate decreases while nothing moves, and the link expires. */
function tick(current) {
  if (current.status.state === 'STREAMING') current.progress?.show(current.status, current.body.size);
  const left = Math.ceil((current.expires - Date.now()) / 1000);
  write($('expires'), left > 0 ? `Expires in ${time(left)}.` : '');
}

function notice(text) {
  write($('notice'), text);
  $('notice').hidden = !text;
}

/** Reads dropped folders. The items are valid only until the event handler returns. */
async function sendDropped(transfer) {
  const items = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (items.length === 0) return sendFiles(transfer.files);
  const entries = [];
  try {
    for (const item of items) await walk(item, '', entries);
  } catch (error) {
    return notice(`Cannot read the files: ${error.message}`);
  }
  sendEntries(entries);
}

async function walk(item, folder, entries) {
  if (entries.length >= FILES_MAX) throw new RangeError(`more than ${FILES_MAX} files`);
  const path = folder + item.name;
  if (item.isFile) {
    entries.push({ path, file: await new Promise((done, failed) => item.file(done, failed)) });
    return;
  }
  entries.push({ path });
  const reader = item.createReader();
  for (;;) {
    // A reader returns at most 100 entries at a time, and none at the end.
    const batch = await new Promise((done, failed) => reader.readEntries(done, failed));
    if (batch.length === 0) return;
    for (const inner of batch) await walk(inner, `${path}/`, entries);
  }
}

function sendFiles(files) {
  if (files.length > FILES_MAX) return notice(`Cannot send more than ${FILES_MAX} files.`);
  sendEntries(Array.from(files, (file) => ({ path: file.webkitRelativePath || file.name, file })));
}

function start() {
  $('choose').hidden = false;
  enableCopying();
  if (!('webkitdirectory' in $('folder'))) $('folder').hidden = document.querySelector('[for=folder]').hidden = true;
  for (const input of [$('files'), $('folder')]) {
    input.addEventListener('change', () => {
      sendFiles(input.files);
      // The same file can be chosen again.
      input.value = '';
    });
  }
  $('text').addEventListener('input', () => ($('send-text').disabled = !$('text').value));
  $('send-text').addEventListener('click', () => {
    const body = new Blob([$('text').value], { type: 'text/plain;charset=utf-8' });
    send(body, 'text.txt', size(body.size));
  });
  $('link').addEventListener('focus', () => $('link').select());
  $('cancel').addEventListener('click', () => cancel('Cancelled.', ''));
  $('again').addEventListener('click', () => {
    run.unfollow();
    document.title = 'Send a file';
    $('transfer').hidden = true;
    $('choose').hidden = false;
    $('files').focus();
  });
  acceptDrops();
  addEventListener('beforeunload', (event) => {
    if (run?.isActive) event.preventDefault();
  });
  // The receiver need not wait for a page that is closed.
  addEventListener('pagehide', () => cancel('Cancelled.', ''));
}

function acceptDrops() {
  const isFree = () => !$('choose').hidden;
  const mark = (isOver) => document.body.classList.toggle('over', isOver);
  addEventListener('dragover', (event) => {
    event.preventDefault();
    mark(isFree());
  });
  addEventListener('dragleave', (event) => event.relatedTarget ?? mark(false));
  addEventListener('drop', (event) => {
    event.preventDefault();
    mark(false);
    if (isFree() && event.dataTransfer.types.includes('Files')) sendDropped(event.dataTransfer);
  });
  addEventListener('paste', (event) => {
    const files = event.clipboardData?.files;
    if (isFree() && files?.length) sendFiles(files);
  });
}

start();
